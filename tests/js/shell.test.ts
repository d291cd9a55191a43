import { describe, expect, test, vi } from "vitest";
import { mountWidget } from "../../js/views/widget";
import { find, host, life, open as openWidget, place, store } from "./opened";
import { STUDY, TRAITS } from "./page/data";
import { settle } from "./support";

function open(traits: object = {}, width = 1000): void {
  openWidget({ ...TRAITS, ...traits }, width);
}

function click(selector: string): void {
  find(selector, HTMLElement).click();
}

function type(text: string): HTMLInputElement {
  const input = find(".pw-typed", HTMLInputElement);
  input.value = text;
  input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  return input;
}

describe("folding", () => {
  test("is a trait, and hides all but the title", () => {
    open();
    const section = find(".pw-prompt", HTMLElement);
    const handle = find('.pw-fold[data-section="prompt"]', HTMLElement);
    expect(handle.getAttribute("aria-expanded")).toBe("true");
    handle.click();
    expect(host.get("folds")).toEqual(["row", "neurons", "circuit", "prompt"]);
    expect(section.classList.contains("pw-folded")).toBe(true);
    expect(handle.getAttribute("aria-expanded")).toBe("false");
    handle.click();
    expect(host.get("folds")).toEqual(["row", "neurons", "circuit"]);
  });

  test("set in Python shows in every output", () => {
    open();
    mountWidget(store, place, life.signal);
    host.receive("folds", ["grids", "picks"]);
    const folded = [...place.querySelectorAll(".pw-folded")];
    expect(folded.map((section) => section.className)).toEqual([
      "pw-heatmaps pw-folded",
      "pw-picks pw-folded",
      "pw-heatmaps pw-folded",
      "pw-picks pw-folded",
    ]);
  });
});

describe("picking by name", () => {
  test("adds to the picks, and empties the field", () => {
    open({ selection: ["L4H0.z"] });
    const input = type("3.1 L0H0.q@S2 4.0");
    expect(host.written).toEqual([["selection", ["L4H0.z", "L3H1.z", "L0H0.q@10"]]]);
    expect(input.value).toBe("");
  });

  test("says what it could not read, and keeps the text", () => {
    open({ selection: [] });
    const input = type("3.1 99.0");
    expect(host.get("selection")).toEqual(["L3H1.z"]);
    expect(find(".pw-pick-tools .pw-error", HTMLElement).textContent).toMatch(
      /99\.0: the model has layers 0 to 4/,
    );
    expect(input.value).toBe("3.1 99.0");
  });
});

test("earlier picks come back", () => {
  open({ selection: [] });
  const back = find('[aria-label="Earlier picks"]', HTMLButtonElement);
  expect(back.disabled).toBe(true);
  store.set("selection", ["L1H1.z"]);
  expect(back.disabled).toBe(false);
  back.click();
  expect(host.get("selection")).toEqual([]);
  click('[aria-label="Later picks"]');
  expect(host.get("selection")).toEqual(["L1H1.z"]);
});

describe("direction", () => {
  test("is asked for, and shown as what the study has", () => {
    open();
    const [denoising, noising] = [
      ...place.querySelectorAll<HTMLElement>('[aria-label="Direction"] button'),
    ];
    noising?.click();
    expect(host.written).toEqual([["direction", "noising"]]);
    expect(denoising?.getAttribute("aria-pressed")).toBe("true");
    host.receive("study", { ...STUDY, direction: "noising" });
    expect(noising?.getAttribute("aria-pressed")).toBe("true");
  });

  test("is no choice for an ablation", () => {
    open({ study: { ...STUDY, directions: ["noising"] } });
    expect(find('[aria-label="Direction"]', HTMLElement).hidden).toBe(true);
  });
});

describe("verifying", () => {
  function requests(kind: string) {
    return host.sent.filter((message) => message.kind === kind);
  }

  async function answerCosts(patches: number): Promise<void> {
    const payload = { patches, words: `${patches} patches, about 2 s` };
    for (const { id } of requests("cost.get")) {
      host.deliver({ kind: "reply", id, ok: true, error: null, payload });
    }
    await settle();
  }

  function line(what: string): HTMLElement {
    return find(`.pw-choice[data-what="${what}"]`, HTMLElement);
  }

  test("costs nothing until it is opened, then says the cost before it runs", async () => {
    open({ kind: "q" });
    expect(requests("cost.get")).toEqual([]);
    click(".pw-verify > button");
    expect(requests("cost.get").map(({ what, of, top }) => [what, of, top])).toEqual([
      ["picked", "q", null],
      ["top", "q", 10],
      ["all", "q", null],
      ["bound", "q", null],
    ]);
    expect(line("all").querySelector("button")?.disabled).toBe(true);
    await answerCosts(12);
    expect(line("all").textContent).toMatch(/all of query.*12 patches, about 2 s/);
    line("all").querySelector("button")?.click();
    expect(requests("verify.start")).toMatchObject([{ what: "all", of: "q" }]);
  });

  test("what is known already cannot be started", async () => {
    open();
    click(".pw-verify > button");
    await answerCosts(0);
    expect(line("picked").textContent).toMatch(/all known/);
    expect(line("picked").querySelector("button")?.disabled).toBe(true);
  });

  test("says by what the largest are found: sizes, which do not cancel between pairs", () => {
    open({ kind: "q" });
    click(".pw-verify > button");
    const words = () => line("top").querySelector("label")?.textContent;
    expect(words()).toBe("the  largest estimates of query, by mean size over pairs");
    host.receive("study", { ...STUDY, pairs: STUDY.pairs.slice(0, 1) });
    expect(words()).toBe("the  largest estimates of query");
    // The table's own ranks are by the size of the mean, as its cells are coloured.
    const rank = find(".pw-ranking thead [title^='Place by size']", HTMLElement);
    expect(rank.title).toBe(
      "Place by size of the estimate, which is a mean over pairs",
    );
  });

  test("the count is asked for anew, and nonsense is ten", () => {
    open();
    click(".pw-verify > button");
    const input = find(".pw-count", HTMLInputElement);
    for (const [given, top] of [
      ["25", 25],
      ["-3", 10],
    ] as const) {
      input.value = given;
      input.dispatchEvent(new Event("change"));
      expect(requests("cost.get").at(-1)).toMatchObject({ what: "top", top });
    }
  });

  test("a refusal is shown", async () => {
    open();
    click(".pw-verify > button");
    const [{ id } = {}] = requests("cost.get");
    const error = { type: "ValueError", message: "no such kind" };
    host.deliver({ kind: "reply", id, ok: false, error, payload: null });
    await settle();
    expect(line("picked").textContent).toMatch(/cannot be run: no such kind/);
  });
});

test("the full width is a trait", () => {
  open();
  click(".pw-wide-switch");
  expect(host.written).toEqual([["wide", true]]);
  expect(find(".pw-root", HTMLElement).classList.contains("pw-full")).toBe(true);
});

test("the remaining time is told while a job runs", () => {
  open();
  const job = { id: 4, state: "running", done: 0, total: 8, label: "z", error: null };
  host.receive("job", job);
  const progress = { kind: "job.progress", id: 4, done: 2, total: 8 };
  host.deliver({ ...progress, seconds_left: 200 });
  expect(find(".pw-job", HTMLElement).textContent).toMatch(/2\/8.*about 3 min left/);
});

describe("copying", () => {
  test("hands the code to the clipboard", async () => {
    const writeText = vi.fn(async () => {});
    vi.stubGlobal("navigator", { clipboard: { writeText } });
    open({ selection: ["L4H0.z"], method: "atp_qk" });
    press("code");
    await vi.waitFor(() => expect(status()).toBe("copied"));
    expect(writeText).toHaveBeenCalledWith(expect.stringContaining('method="atp_qk"'));
  });

  test("saves a file where there is no clipboard", async () => {
    vi.stubGlobal("navigator", {});
    Object.assign(URL, { createObjectURL: () => "blob:x", revokeObjectURL: () => {} });
    const saved = vi.spyOn(HTMLAnchorElement.prototype, "click").mockReturnValue();
    open();
    press("data (CSV)");
    await vi.waitFor(() => expect(status()).toBe("saved as patchwidget.csv"));
    expect(saved).toHaveBeenCalledOnce();
  });

  test("says what cannot be copied", async () => {
    open({ selection: [] });
    press("SVG");
    await vi.waitFor(() => expect(status()).toMatch(/not copied: this part/));
  });

  function press(label: string): void {
    const buttons = [...place.querySelectorAll<HTMLElement>(".pw-copy button")];
    buttons.find(({ textContent }) => textContent === label)?.click();
  }

  function status(): string | null {
    return find(".pw-copy [role=status]", HTMLElement).textContent;
  }
});
