/** Draws the widget without a kernel: `?case=...` names the data, `&views=2` twice. */

import { fixtureHost } from "../../../js/host/fixture";
import { createStore } from "../../../js/state/store";
import { readStudy } from "../../../js/state/study";
import { mountWidget } from "../../../js/views/widget";
import { playKernel } from "./answers";
import { CASES, usual } from "./cases";
import { REFUSAL } from "./circuit";
import { UNPUBLISHED } from "./gpt2";

/** What is answered to everything, by the name of the case. */
const REFUSALS: Record<string, string> = {
  gpt2: UNPUBLISHED,
  circuitRefused: REFUSAL,
};
const query = new URLSearchParams(location.search);
const name = query.get("case") ?? "usual";
const traits = (CASES[name] ?? usual)();
const host = fixtureHost(traits);
const { signal } = new AbortController();
const size = readStudy(traits.study)?.positions ?? 0;
playKernel(host, size, REFUSALS[name] ?? null);
const store = createStore(host, signal);
// For the tests that drive this page.
Object.assign(window, { fixture: { host, store } });
const places = document.querySelector("main");
for (let view = 0; view < Number(query.get("views") ?? 1); view++) {
  const place = document.createElement("div");
  places?.append(place);
  mountWidget(store, place, signal);
}
const links = Object.keys(CASES).map((key) => {
  const link = document.createElement("a");
  link.href = `?case=${key}`;
  link.textContent = key;
  return link;
});
document.querySelector("nav")?.append(...links);
document.querySelector("button")?.addEventListener("click", () => {
  const { dataset } = document.body;
  dataset.jpThemeLight = dataset.jpThemeLight === "false" ? "true" : "false";
});
