import { beforeEach, describe, expect, test, vi } from "vitest";
import * as circuitModule from "../../js/circuit/index";
import { exportedHost } from "../../js/host/exported";
import { MESSAGE_KINDS } from "../../js/host/messages";
import { find, host, life, openOn, open as openWidget, place } from "./opened";
import { arrivals, CIRCUIT } from "./page/circuit";
import { NO_JOB, STUDY, TRAITS } from "./page/data";
import { settle } from "./support";

// A blob cannot be imported here: the module comes as it is in the sources.
const imported = vi.hoisted(() => vi.fn());
vi.mock("../../js/host/imported", () => ({ imported }));

const PICKS = ["L4H0.z", "L3H1.z", "L4H3.z"];
const CODE = new TextEncoder().encode("code");
const STYLE = ".pw-none {}";

/** Each test has a page of its own: the module is loaded once a page. */
async function open(traits: object = {}): Promise<void> {
  openWidget({ ...TRAITS, folds: ["row", "neurons"], selection: PICKS, ...traits });
  await settle();
}

async function opened(traits: object = {}): Promise<void> {
  await open(traits);
  // Whatever was loaded by an earlier test is there at once.
  if (asked("module.get").length > 0) await answerModule();
  await settle();
}

function asked(kind: string): Record<string, unknown>[] {
  return host.sent.filter((request) => request.kind === kind);
}

async function answer(kind: string, payload: unknown, buffers: unknown[] = []) {
  const id = asked(kind).at(-1)?.id;
  host.deliver({ kind: "reply", id, ok: true, error: null, payload }, buffers);
  for (let turn = 0; turn < 4; turn++) await settle();
}

async function refuse(kind: string, message: string): Promise<void> {
  const id = asked(kind).at(-1)?.id;
  const error = { type: "ValueError", message };
  host.deliver({ kind: "reply", id, ok: false, error, payload: null });
  await settle();
}

const answerModule = () => answer(MESSAGE_KINDS.moduleGet, { css: STYLE }, [CODE]);
const answerPaths = (node: string) =>
  answer(MESSAGE_KINDS.pathsGet, arrivals(node, STUDY));

const text = (selector: string) => find(selector, Element).textContent ?? "";
const all = (selector: string) => [...place.querySelectorAll<HTMLElement>(selector)];
const click = (selector: string) => find(selector, HTMLElement).click();

function result(writer: string, reader: string, exact: number, source = "run") {
  const rest = { estimate: 0.1, interval: [exact - 0.1, exact + 0.1], source };
  return { [`${writer} -> ${reader}`]: { writer, reader, exact, ...rest } };
}

beforeEach(() => {
  imported.mockImplementation(async () => circuitModule);
});

describe("the module", () => {
  // In this order: what the page has loaded stays loaded.
  test("is not asked for while the part is folded", async () => {
    openWidget({ ...TRAITS, selection: PICKS });
    await settle();
    expect(asked("module.get")).toEqual([]);
    expect(asked("paths.get")).toEqual([]);
  });

  test("is asked for when it is unfolded, and what fails is said and tried again", async () => {
    openWidget({ ...TRAITS, selection: PICKS });
    click('.pw-fold[data-section="circuit"]');
    expect(asked("module.get")).toMatchObject([{ name: "circuit" }]);
    expect(text(".pw-circuit-state")).toBe("Waiting for the kernel.");
    await refuse("module.get", "the front end <b>circuit.js</b> is missing");
    expect(text(".pw-circuit-state")).toContain(
      "This part is not here: the front end <b>circuit.js</b> is missing.",
    );
    click(".pw-circuit-state button");
    expect(asked("module.get")).toHaveLength(2);
    imported.mockRejectedValueOnce(new TypeError("blob: is not allowed here"));
    await answerModule();
    expect(text(".pw-circuit-state")).toContain("blob: is not allowed here");
    click(".pw-circuit-state button");
    await answer("module.get", { css: 3 });
    expect(text(".pw-circuit-state")).toContain("module.css: expected text, got 3");
    host.lose();
    click(".pw-circuit-state button");
    await settle();
    expect(text(".pw-circuit-state")).toContain("the kernel was restarted");
    expect(all(".pw-circuit-body > *")).toEqual([]);
  });

  test("is drawn when it is here, and comes once for all outputs of the page", async () => {
    await open();
    await answerModule();
    expect(String(imported.mock.lastCall)).toBe(`${CODE}`);
    expect(find(".pw-circuit-state", HTMLElement).hidden).toBe(true);
    expect(text(".pw-circuit > style")).toBe(STYLE);
    expect(all(".pw-circuit-body > section")).toHaveLength(5);
    life.abort();
    document.body.replaceChildren();
    await open();
    await settle();
    expect(asked("module.get")).toEqual([]);
    expect(all(".pw-circuit-body > section")).toHaveLength(5);
  });

  test("leaves nothing behind", async () => {
    await opened({ circuit: CIRCUIT });
    await answerPaths("L4H3");
    host.receive("circuit", { ...CIRCUIT, paths: {} });
    life.abort();
    expect(host.listenerCount()).toBe(0);
    expect(place.childElementCount).toBe(0);
  });
});

describe("paths of a head", () => {
  // By its data: jsdom takes the arrow in a name for one of the selector's.
  const row = (path: string, part: string) => {
    const item = all(".pw-inputs .pw-path").find((one) => one.dataset.path === path);
    return find(part, HTMLElement, item);
  };

  test("are those of the newest pick, another is chosen, none says what to do", async () => {
    await opened();
    expect(asked("paths.get")).toMatchObject([{ node: "L4H3" }]);
    expect(text(".pw-inputs")).toContain("Waiting for the kernel");
    await answerPaths("L4H3");
    expect(all("[data-list]").map(({ dataset }) => dataset.list)).toEqual([
      ..."qkv",
      "out",
    ]);
    expect(all('[data-list="q"] .pw-path')).toHaveLength(8);
    click('[data-list="q"] > .pw-button');
    expect(all('[data-list="q"] .pw-path')).toHaveLength(1 + 4 * 8 + 4);
    all(".pw-chooser button")[0]?.click();
    expect(asked("paths.get").at(-1)).toMatchObject({ node: "L4H0" });
    host.receive("selection", []);
    expect(text(".pw-inputs")).toContain("Pick a head");
    expect(all("[data-list]")).toEqual([]);
  });

  test("a click runs the exact patch, and shows what it found", async () => {
    await opened();
    await answerPaths("L4H3");
    const path = all(".pw-inputs .pw-path")[0]?.dataset.path ?? "";
    const [writer = "", reader = ""] = path.split(" -> ");
    const button = row(path, ".pw-path-run");
    const label = () => row(path, ".pw-unseen").textContent;
    expect(label()).toMatch(new RegExp(`^${path}: estimate .*, exact effect not run$`));
    button.click();
    expect(asked("paths.start")).toMatchObject([{ paths: [path] }]);
    expect(label()).toContain("on its way");
    button.click();
    expect(asked("paths.start")).toHaveLength(1);
    host.receive("job", { ...NO_JOB, id: 1, state: "running" });
    await answer("paths.start", {});
    expect(label()).toContain("on its way");
    host.receive("circuit", { paths: result(writer, reader, -0.25) });
    host.receive("job", { ...NO_JOB, id: 1, state: "done" });
    expect(button.dataset.exact).toBe("-0.25");
    expect(row(path, ".pw-path-exact").textContent).toBe("✓ −0.250");
    expect(label()).toContain("(90 % interval −0.350 to −0.150)");
    expect(button.getAttribute("aria-disabled")).toBe("true");
    button.click();
    expect(asked("paths.start")).toHaveLength(1);
    expect(text(".pw-sketch")).toContain("1 verified path,");
  });

  test("a job that ends without the path leaves it open, a refusal is said", async () => {
    await opened();
    await answerPaths("L4H3");
    const button = ".pw-inputs .pw-path-run";
    click(button);
    host.receive("job", { ...NO_JOB, id: 1, state: "running" });
    await answer("paths.start", {});
    host.receive("job", { ...NO_JOB, id: 1, state: "cancelled" });
    expect(text(`${button} .pw-path-exact`)).toBe("run");
    click(button);
    await refuse("paths.start", "L4H0 -> L1H0.q runs <b>backwards</b>");
    expect(text(".pw-circuit-body > .pw-error")).toBe(
      "Not started: L4H0 -> L1H0.q runs <b>backwards</b>",
    );
    expect(text(`${button} .pw-path-exact`)).toBe("run");
  });

  test("what a file says is no verification here, and can be run", async () => {
    const paths = result("L1H0", "L4H3.q", 0.5, "file");
    await opened({ circuit: { paths } });
    expect(row("L1H0 -> L4H3.q", ".pw-path-exact").textContent).toBe("file +0.500");
    row("L1H0 -> L4H3.q", ".pw-path-run").click();
    expect(asked("paths.start")).toHaveLength(1);
  });

  test("without estimates the reason stands there, and what was run", async () => {
    await opened({ circuit: { paths: result("L1H0", "L4H3.q", 0.5) } });
    await refuse("paths.get", "a post-norm");
    expect(text(".pw-inputs")).toContain("No estimates: a post-norm. try again");
    expect(all("[data-list]")).toHaveLength(1);
    const again = all(".pw-inputs button").find(
      (one) => one.textContent === "try again",
    );
    again?.click();
    expect(asked("paths.get")).toHaveLength(2);
  });

  test("of another study are asked for again", async () => {
    await opened();
    await answerPaths("L4H3");
    host.receive("study", { ...STUDY, direction: "noising" });
    await settle();
    expect(asked("paths.get")).toHaveLength(2);
  });

  test("a name picks its head beside the others, or shows a picked one", async () => {
    const paths = { ...result("L2H5", "L4H3.q", 1), ...result("L3H1", "L4H3.q", 1) };
    await opened({ circuit: { paths } });
    row("L2H5 -> L4H3.q", ".pw-end").click();
    expect(host.get("selection")).toEqual([...PICKS, "L2H5.z"]);
    click(".pw-chooser button:nth-child(3)");
    row("L3H1 -> L4H3.q", ".pw-end").click();
    expect(host.get("selection")).toEqual([...PICKS, "L2H5.z"]);
    expect(text(".pw-inputs .pw-circuit-title")).toContain("L3H1");
  });

  test("the pointer at one lights it in the sketch, and its head elsewhere", async () => {
    const paths = result("L2H5", "L4H3.q", 1);
    await opened({ circuit: { paths } });
    const name = row("L2H5 -> L4H3.q", ".pw-end");
    const item = name.parentElement;
    item?.dispatchEvent(new Event("pointerover"));
    const line = find(".pw-sketch svg [data-path]", Element);
    expect(line.classList.contains("pw-lit")).toBe(true);
    const lit = () =>
      all(".pw-sketch-node.pw-lit > text").map((one) => one.textContent);
    expect(lit()).toEqual(["L2H5"]);
    item?.dispatchEvent(new Event("pointerleave"));
    expect(lit()).toEqual([]);
    expect(line.classList.contains("pw-lit")).toBe(false);
    name.dispatchEvent(new Event("pointerenter"));
    expect(lit()).toEqual(["L2H5"]);
  });
});

describe("costs", () => {
  test("stand there before anything long can be started", async () => {
    await opened();
    await answerPaths("L4H3");
    expect(asked("cost.get")).toEqual([]);
    click('[data-cost="paths"]');
    const [request] = asked("cost.get");
    expect(request).toMatchObject({ what: "paths" });
    expect(request?.paths).toHaveLength(10);
    const run = find('[data-run="paths"]', HTMLButtonElement);
    expect(run.disabled).toBe(true);
    await answer("cost.get", { patches: 10, words: "10 path patches, about 3 s" });
    expect(text(".pw-inputs .pw-cost")).toContain("10 path patches, about 3 s");
    expect(run.disabled).toBe(false);
    run.click();
    expect(asked("paths.start")[0]?.paths).toEqual(request?.paths);
    expect(text(".pw-inputs .pw-cost")).toContain("running");
    expect(run.disabled).toBe(true);
  });

  test.each(["interactions", "repair", "story"])(
    "of %s are of the picks",
    async (what) => {
      await opened();
      click(`[data-cost="${what}"]`);
      expect(asked("cost.get")).toMatchObject([{ what }]);
      await refuse("cost.get", "an interaction is that of two or more");
      const words = () =>
        find(`[data-run="${what}"]`, HTMLElement).parentElement?.textContent;
      expect(words()).toContain("cannot be run: an interaction is that of two or more");
      host.receive("selection", PICKS.slice(1));
      expect(asked("cost.get")).toHaveLength(2);
      await answer("cost.get", { patches: 4, words: "4 patches" });
      click(`[data-run="${what}"]`);
      expect(asked("circuit.start")).toMatchObject([{ what }]);
    },
  );
});

describe("what was found of the picks", () => {
  test("interactions have words for each cell, by keyboard as well", async () => {
    await opened({ circuit: CIRCUIT });
    const tables = all(".pw-matrix");
    expect(tables.map(({ dataset }) => dataset.side)).toEqual(["denoising", "noising"]);
    const cell = find('[data-row="0"][data-column="1"]', HTMLElement, tables[1]);
    expect(cell.textContent).toBe("+0.173");
    expect(cell.getAttribute("aria-label")).toContain("OR-like");
    expect(cell.style.background).not.toBe("");
    const first = find('[data-row="0"][data-column="0"]', HTMLElement, tables[1]);
    expect([first.tabIndex, cell.tabIndex]).toEqual([0, -1]);
    first.focus();
    expect(text(".pw-interactions .pw-circuit-words")).toBe(
      "L4H0.z alone: denoising +0.271, noising +0.113",
    );
    first.dispatchEvent(
      new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }),
    );
    expect(document.activeElement).toBe(cell);
    expect(text(".pw-interactions .pw-circuit-words")).toContain(
      "L4H0.z and L3H1.z: OR-like",
    );
    expect([first.tabIndex, cell.tabIndex]).toEqual([-1, 0]);
  });

  test("an ablation has one side, and what has no number none either", async () => {
    const { interactions } = CIRCUIT;
    const sides = { noising: interactions.sides.noising };
    await opened({ circuit: { ...CIRCUIT, interactions: { ...interactions, sides } } });
    expect(all(".pw-matrix")).toHaveLength(1);
    const cell = find('[data-row="1"][data-column="2"]', HTMLElement);
    expect([cell.textContent, cell.style.background]).toEqual(["–", ""]);
  });

  test("of earlier picks is said to be", async () => {
    await opened({ circuit: CIRCUIT });
    const words = ".pw-interactions > .pw-quiet";
    expect(text(words)).not.toContain("not the picks now");
    host.receive("selection", ["L4H0.z"]);
    for (const part of ["interactions", "repair", "story"]) {
      expect(text(`.pw-${part} > .pw-quiet`)).toContain(
        "Of L4H0.z, L3H1.z, L4H3.z, which are not the picks now.",
      );
    }
  });

  test("self-repair names backup and negative heads, and every head has its number", async () => {
    await opened({ circuit: CIRCUIT });
    expect(all(".pw-responses > li").map((one) => one.textContent)).toEqual([
      "▲ L4H6 backup: −0.140 (before −0.300)",
      "▽ L4H3 negative head: −0.060 (before +0.020)",
    ]);
    expect(all(".pw-repair-strip [data-layer='3']")).toHaveLength(6);
    const strip = find(".pw-repair-strip svg", SVGElement);
    const press = (key: string) =>
      strip.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    for (let step = 0; step < 6; step++) press("ArrowRight");
    expect(text(".pw-repair .pw-circuit-words")).toBe(
      "L4H6: change −0.140, before −0.300; backup",
    );
    for (let step = 0; step < 9; step++) press("ArrowDown");
    expect(text(".pw-repair .pw-circuit-words")).toContain("L3H6: ");
  });

  test("the whole story is in figures", async () => {
    await opened({ circuit: CIRCUIT });
    expect(text('.pw-story [data-figure="faithfulness"]')).toContain("0.834");
    expect(text('.pw-story [data-figure="minimality"]')).toContain(
      "L4H3.z −0.020, L3H1.z +0.050, L4H0.z +0.310",
    );
  });

  test("news of paths leave the other pictures alone", async () => {
    await opened({ circuit: CIRCUIT });
    const [table] = all(".pw-matrix");
    const strip = find(".pw-repair-strip svg", SVGElement);
    host.receive("circuit", structuredClone({ ...CIRCUIT, paths: {} }));
    expect(all(".pw-matrix")[0]).toBe(table);
    expect(find(".pw-repair-strip svg", SVGElement)).toBe(strip);
    expect(text(".pw-sketch")).toContain("No path is verified yet");
  });

  test("that cannot be read is said", async () => {
    await opened({ circuit: { ...CIRCUIT, story: 3 } });
    expect(text(".pw-circuit-body > .pw-error")).toContain("circuit.story");
    expect(all(".pw-matrix")).toHaveLength(2);
  });
});

describe("the sketch", () => {
  test("has a line for each path, its sign also in its dashes", async () => {
    await opened({ circuit: CIRCUIT });
    const lines = all(".pw-sketch svg [data-path]");
    expect(lines).toHaveLength(Object.keys(CIRCUIT.paths).length);
    for (const line of lines) {
      const exact = CIRCUIT.paths[line.dataset.path ?? ""]?.exact ?? Number.NaN;
      const dashes = line.querySelector(".pw-edge")?.hasAttribute("stroke-dasharray");
      expect(dashes).toBe(exact < 0);
      expect(line.dataset.sign).toBe(exact < 0 ? "pw-below" : "pw-above");
    }
    expect(all(".pw-verified-paths > li")[0]?.textContent).toContain("L4H3 → final");
  });

  /** By what it is called; its own name, which it may have, comes after it. */
  const part = (name: string) => {
    const called = (one: HTMLElement) => one.getAttribute("aria-label")?.split(/:| “/);
    const parts = all(".pw-sketch [data-key]");
    const found = parts.find((one) => called(one)?.[0] === name);
    if (!found) throw new Error(`no ${name}`);
    return found;
  };
  const press = (key: string, init: object = {}) => {
    const options = { key, bubbles: true, cancelable: true, ...init };
    const event = new KeyboardEvent("keydown", options);
    document.activeElement?.dispatchEvent(event);
    return event;
  };
  const shift = { shiftKey: true };
  const words = () => text(".pw-sketch > .pw-circuit-words");
  const tabs = () => all('.pw-sketch-picture [tabindex="0"]');

  test("is one stop of the Tab key, which stays where one was", async () => {
    await opened({ circuit: CIRCUIT });
    expect(all(".pw-sketch-picture [data-key]")).toHaveLength(9 + 10);
    expect(tabs()).toEqual([part("logits")]);
    part("logits").focus();
    press("ArrowDown");
    press("ArrowRight");
    expect(document.activeElement).toBe(part("L4H3"));
    expect(tabs()).toEqual([part("L4H3")]);
    part("L4H3").blur();
    expect(tabs()).toEqual([part("L4H3")]);
  });

  test("names a node and its paths, and lights it everywhere", async () => {
    await opened({ circuit: CIRCUIT, names: { L4H3: "negative" } });
    const paths = "into it L3H1 -> L4H3.q −0.170; out of it L4H3 -> final −0.360";
    const elsewhere = find('.pw-verified-paths [data-end="L4H3"]', Element);
    part("L4H3").focus();
    expect(part("L4H3").getAttribute("aria-label")).toBe(`L4H3 “negative”: ${paths}`);
    expect(words()).toBe(`L4H3 “negative”: ${paths}`);
    for (const one of [part("L4H3"), elsewhere])
      expect(one.classList).toContain("pw-lit");
    part("L4H3").blur();
    expect(words()).toContain("arrow keys");
    for (const one of [part("L4H3"), elsewhere])
      expect(one.classList).not.toContain("pw-lit");
    host.receive("names", {});
    expect(part("L4H3").getAttribute("aria-label")).toBe(`L4H3: ${paths}`);
  });

  test("names the largest of many paths, each once", async () => {
    const many = Array.from({ length: 7 }, (_, head) =>
      result(`L0H${head} + L1H${head}`, "final", head / 10),
    );
    await opened({ circuit: { paths: Object.assign({}, ...many) } });
    expect(part("logits").getAttribute("aria-label")).toMatch(
      /^logits: into it L0H6 \+ L1H6 -> final \+0.600, .* L0H3 .*, 3 more$/,
    );
  });

  test("Enter and Space do what a click does, and no key leaves the widget", async () => {
    await opened({ circuit: CIRCUIT });
    const leaked = vi.fn();
    document.addEventListener("keydown", leaked, { signal: life.signal });
    part("L2H5").focus();
    expect(press("Enter").defaultPrevented).toBe(true);
    expect(host.get("selection")).toEqual([...PICKS, "L2H5.z"]);
    expect(press("ArrowUp").defaultPrevented).toBe(true);
    expect(press(" ").defaultPrevented).toBe(true);
    expect(host.get("selection")).toEqual([...PICKS, "L2H5.z"]);
    expect(text(".pw-inputs .pw-circuit-title")).toContain("L3H1");
    expect(press("b").defaultPrevented).toBe(false);
    expect(leaked).not.toHaveBeenCalled();
    expect(press("ArrowUp", { ctrlKey: true }).defaultPrevented).toBe(false);
    expect(leaked).toHaveBeenCalledOnce();
    expect(document.activeElement).toBe(part("L3H1"));
    expect(part("L3H1").getAttribute("role")).toBe("button");
    expect(part("logits").getAttribute("role")).toBe("img");
  });

  test("leads along paths, which are lit as under the pointer", async () => {
    await opened({ circuit: CIRCUIT });
    part("logits").focus();
    press("ArrowDown", shift);
    const line = part("L4H3 -> final");
    expect(document.activeElement).toBe(line);
    expect(words()).toContain("exact −0.360 (90 % interval");
    expect(line.classList.contains("pw-lit")).toBe(true);
    expect(part("L4H0 -> final").classList.contains("pw-dim")).toBe(true);
    expect(part("L4H3").classList.contains("pw-lit")).toBe(true);
    press("ArrowLeft");
    expect(document.activeElement).toBe(part("L4H0 -> final"));
    press("ArrowDown");
    expect(document.activeElement).toBe(part("L4H0"));
    expect(all(".pw-sketch .pw-dim")).toEqual([]);
  });

  test("keeps a path lit that another view no longer lists", async () => {
    await opened({ circuit: { paths: result("L2H5", "L4H3.q", 1) } });
    part("L4H3").focus();
    press("ArrowDown", shift);
    expect(all(".pw-inputs .pw-path.pw-lit")).toHaveLength(1);
    host.receive("selection", []);
    expect(all(".pw-inputs .pw-path")).toEqual([]);
    expect(part("L2H5 -> L4H3.q").classList).toContain("pw-lit");
    expect(part("L2H5").classList).toContain("pw-lit");
    part("L2H5 -> L4H3.q").blur();
    expect(all(".pw-sketch .pw-lit")).toEqual([]);
  });

  test("keeps the focus when a path comes, and lets go of what is taken away", async () => {
    await opened({ circuit: CIRCUIT });
    part("L3H1").focus();
    const before = part("L3H1");
    const paths = { ...CIRCUIT.paths, ...result("L0H1", "L3H1.q", 0.02) };
    host.receive("circuit", { ...CIRCUIT, paths });
    expect(before.isConnected).toBe(false);
    expect(document.activeElement).toBe(part("L3H1"));
    expect(part("L3H1").classList.contains("pw-lit")).toBe(true);
    expect(words()).toContain("L0H1 -> L3H1.q +0.020");
    press("ArrowDown");
    expect(document.activeElement).toBe(part("L2H5"));
    host.receive("circuit", { paths: result("L3H1", "final", 1) });
    expect(document.activeElement).toBe(document.body);
    expect(all(".pw-sketch .pw-lit")).toEqual([]);
    expect(tabs()).toHaveLength(1);
  });

  test("goes to the clipboard as JSON of the kernel, and comes back as text", async () => {
    await opened({ circuit: CIRCUIT });
    const copied = vi.fn(async () => {});
    vi.stubGlobal("navigator", { clipboard: { writeText: copied } });
    const tool = (label: string) =>
      all(".pw-sketch-tools button")
        .find((one) => one.textContent === label)
        ?.click();
    tool("copy JSON");
    await answer("circuit.json", { text: '{"format": 1}' });
    expect(copied).toHaveBeenCalledWith('{"format": 1}');
    tool("load JSON …");
    const field = find(".pw-load textarea", HTMLTextAreaElement);
    field.value = '{"format": 1}';
    tool("load");
    expect(asked("circuit.load")).toMatchObject([{ text: '{"format": 1}' }]);
    await refuse("circuit.load", "it is of <b>another</b> model");
    expect(text(".pw-sketch-tools [role=status]")).toBe(
      "not loaded: it is of <b>another</b> model",
    );
    tool("load");
    await answer("circuit.load", { paths: 1 });
    expect(text(".pw-sketch-tools [role=status]")).toBe("1 path loaded");
    expect(find(".pw-load", HTMLElement).hidden).toBe(true);
  });
});

describe("the story of the paths", () => {
  const story = (part = "") => text(`.pw-path-story ${part}`);
  const handle = () => find('[data-cost="path_story"]', HTMLButtonElement);
  const { path_story: known } = CIRCUIT;
  /** Those that it is about, and no other. */
  const judged = () => {
    const paths: Record<string, object> = CIRCUIT.paths;
    return Object.fromEntries(known.paths.map((name) => [name, paths[name]]));
  };

  test("says what is missing without a path", async () => {
    await opened();
    expect(handle().disabled).toBe(true);
    expect(handle().textContent).toBe(
      "are the paths the whole story? Verify one first",
    );
    host.receive("circuit", { paths: result("L3H1", "L4H0.q", 1) });
    expect(handle().disabled).toBe(false);
    expect(handle().textContent).toBe("judge the circuit of 1 path …");
    expect(story()).toContain("No chain of these paths leads from the embedding");
    host.receive("circuit", { paths: result("embed", "final", 1) });
    expect(story()).not.toContain("No chain");
    expect(find(".pw-path-story details", HTMLElement).hidden).toBe(true);
  });

  test("tells its cost before it is run, also when paths have come", async () => {
    const paths = result("L3H1", "L4H0.q", 1);
    await opened({ circuit: { paths } });
    handle().click();
    expect(asked("cost.get")).toEqual([
      { kind: "cost.get", id: expect.any(String), what: "path_story" },
    ]);
    await answer("cost.get", { patches: 44, words: "44 patches, about 2 s" });
    expect(story(".pw-cost")).toContain("44 patches, about 2 s");
    host.receive("circuit", { paths: { ...paths, ...result("L4H0", "final", 1) } });
    expect(asked("cost.get")).toHaveLength(2);
    expect(find('[data-run="path_story"]', HTMLButtonElement).disabled).toBe(true);
    await answer("cost.get", { patches: 45, words: "45 patches, about 2 s" });
    click('[data-run="path_story"]');
    expect(asked("circuit.start")).toMatchObject([{ what: "path_story" }]);
    expect(story(".pw-cost")).toContain("running");
  });

  test("is told in words and in figures", async () => {
    await opened({ circuit: { ...CIRCUIT, paths: judged() } });
    expect(story()).toContain("8 of 1,234 paths keep 0.831 of the work");
    expect(story()).not.toContain("not among them");
    expect(story('[data-figure="faithfulness"]')).toBe(
      "0.831 the paths alone keep this share",
    );
    const least = Object.entries(known.minimality).sort(([, a], [, b]) => a - b);
    expect(story('[data-figure="minimality"]')).toMatch(
      new RegExp(`^${least[0]?.[0]} `),
    );
  });

  test("says that it is about fewer paths, when more were verified", async () => {
    await opened({ circuit: CIRCUIT });
    expect(story()).toContain("Of 8 paths: 2 paths verified since are not among them.");
    const paths = { ...judged(), ...result("L0H1", "L3H1.q", 0.02) };
    host.receive("circuit", { ...CIRCUIT, paths });
    expect(story()).toContain("Of 8 paths: 1 path verified since is not among them.");
    const after = { ...known, paths: Object.keys(paths) };
    host.receive("circuit", { ...CIRCUIT, paths, path_story: after });
    expect(story()).not.toContain("not among them");
  });
});

describe("a saved page", () => {
  const traits = { ...TRAITS, folds: [], selection: PICKS };

  test("shows what was found, and offers nothing that takes a kernel", async () => {
    const paths = arrivals("L4H3", STUDY);
    const answers = {
      "module.get circuit": { payload: { css: STYLE }, buffers: [CODE] },
      "paths.get L4H3": { payload: paths, buffers: [] },
    };
    openOn(exportedHost({ traits: { ...traits, circuit: CIRCUIT }, answers }));
    for (let turn = 0; turn < 8; turn++) await settle();
    expect(all(".pw-matrix")).toHaveLength(2);
    expect(all(".pw-inputs .pw-path").length).toBeGreaterThan(8);
    const run = find(".pw-inputs .pw-path-run:not([data-exact])", HTMLElement);
    expect(run.getAttribute("aria-disabled")).toBe("true");
    expect(run.textContent).toContain("not run");
    for (const one of all(".pw-costed, .pw-loader")) expect(one.hidden).toBe(true);
    expect(text(".pw-path-story")).toContain("8 of 1,234 paths keep 0.831 of the work");
    expect(text(".pw-path-story")).toContain("2 paths verified since");
    find(".pw-sketch-node", SVGElement).focus();
    expect(text(".pw-sketch > .pw-circuit-words")).toContain("out of it embed -> ");
    click(".pw-chooser button");
    for (let turn = 0; turn < 4; turn++) await settle();
    expect(text(".pw-inputs")).toContain("No estimates: it is not in this saved page");
  });
});
