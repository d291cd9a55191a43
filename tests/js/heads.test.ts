import { beforeEach, describe, expect, test, vi } from "vitest";
import { watchTheme } from "../../js/draw/theme";
import { CLOSED } from "../../js/state/settings";
import { createUi } from "../../js/state/ui";
import { attentionView } from "../../js/views/attention";
import { browser, find, host, life, open as openWidget, place, store } from "./opened";
import { attentionBuffers } from "./page/answers";
import { CASES } from "./page/cases";
import { STUDY, TRAITS } from "./page/data";
import { settle } from "./support";

const SIZE = 15;
const THREE = ["L4H0.z", "L3H1.q", "L2H5.z"];

function open(traits: object = {}, width = 1000): void {
  openWidget({ ...TRAITS, selection: THREE, ...traits }, width);
}

/** Without the other views, which take their time for long prompts. */
function openAlone(traits: object = {}): void {
  openWidget(
    { ...TRAITS, selection: THREE, ...traits },
    1000,
    (store, place, signal) => {
      const ui = createUi();
      ui.width.value = 1000;
      const { theme } = watchTheme(place, signal);
      place.append(attentionView({ store, ui, theme, signal }));
    },
  );
}

beforeEach(() => {
  vi.spyOn(console, "warn").mockImplementation(() => {});
  // jsdom lays nothing out and captures no pointers.
  HTMLElement.prototype.setPointerCapture = () => {};
});

function textOf(selector: string): string {
  return find(selector, HTMLElement).textContent ?? "";
}

/** Answers the last request: by default as the page's kernel does. */
async function answer(more: object = {}, buffers?: unknown[], size = SIZE) {
  const { id, nodes, pair } = host.sent.at(-1) ?? {};
  const heads = (nodes as string[]).map((name) => {
    const [, layer, head] = /^L(\d+)H(\d+)/.exec(name) ?? []; // sent by the widget
    return { layer: Number(layer), head: Number(head) };
  });
  const payload = { heads, size, pair, dtype: "uint16" };
  const reply = { kind: "reply", id, ok: true, error: null, payload, ...more };
  host.deliver(reply, buffers ?? attentionBuffers(heads, size));
  await settle();
}

/** One head, 0.5 everywhere in clean and 0.25 in corrupted; norms are 2 and 4. */
async function answerEven(): Promise<void> {
  const area = (SIZE * (SIZE + 1)) / 2;
  await answer({}, [
    new Uint16Array(area).fill(32768),
    new Uint16Array(area).fill(16384),
    new Float32Array(SIZE).fill(2),
    new Float32Array(SIZE).fill(4),
  ]);
}

function aspect(name: string): void {
  find(`[data-aspect="${name}"]`, HTMLButtonElement).click();
}

function token(position: number): HTMLElement {
  return find(`.pw-focus-token[data-pos="${position}"]`, HTMLElement);
}

function canvas(run = "clean"): HTMLCanvasElement {
  return find(`.pw-attention-panel[data-run="${run}"] canvas`, HTMLCanvasElement);
}

/** The place of a cell on a canvas of `count` cells. */
function over(target: HTMLCanvasElement, row: number, column: number, count = SIZE) {
  const { width, height } = target.style;
  return {
    clientX: ((column + 0.5) / count) * Number.parseFloat(width),
    clientY: ((row + 0.5) / count) * Number.parseFloat(height),
    bubbles: true,
    cancelable: true,
  };
}

function press(target: Element, key: string): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  target.dispatchEvent(event);
  return event;
}

const thumbs = () => [...place.querySelectorAll<HTMLElement>(".pw-thumbnail")];
const zoomPart = () => textOf(".pw-zoom-part");

describe("asking", () => {
  test("one request for all picked heads, the large one first", () => {
    open();
    expect(host.sent).toMatchObject([
      {
        kind: "attention.get",
        nodes: ["L4H0.pattern", "L3H1.pattern", "L2H5.pattern"],
        pair: -1,
      },
    ]);
  });

  test("waits until the section is unfolded", () => {
    open({ folds: [...CLOSED, "attention"] });
    expect(host.sent).toEqual([]);
    host.receive("folds", CLOSED);
    expect(host.sent).toHaveLength(1);
    host.receive("folds", [...CLOSED, "attention"]);
    host.receive("selection", ["L1H1.z"]);
    expect(host.sent).toHaveLength(1);
  });

  test("a KV head asks for its query heads", () => {
    open({ study: { ...STUDY, n_kv_heads: 4 }, selection: ["L2H1.v"] });
    expect(host.sent.at(-1)?.nodes).toEqual(["L2H2.pattern", "L2H3.pattern"]);
  });

  test("is done again after a new study, and lets a kept token go", async () => {
    open();
    await answer();
    token(3).click();
    expect(place.querySelector(".pw-locked")).not.toBeNull();
    host.receive("study", { ...STUDY, model: "other" });
    await settle();
    expect(host.sent).toHaveLength(2);
    await answer();
    expect(place.querySelector(".pw-locked")).toBeNull();
  });

  test("no more heads than can be looked at, and that is said", () => {
    const selection = Array.from({ length: 30 }, (_, at) => `L${at % 5}H${at % 6}.z`);
    const study = { ...STUDY, n_heads: 40 };
    const many = [...selection, ...selection.map((_, at) => `L0H${at + 10}.z`)];
    open({ study, selection: many });
    expect(host.sent.at(-1)?.nodes).toHaveLength(24);
    expect(textOf(".pw-attention-more")).toBe("36 more picked heads are not drawn.");
  });

  test("prompts that are too long for the page are refused in words", () => {
    openAlone({ study: { ...STUDY, n_pos: 20_000 } });
    expect(host.sent).toEqual([]);
    expect(textOf(".pw-attention-more")).toContain("20000 tokens");
    expect(find(".pw-attention-body", HTMLElement).hidden).toBe(true);
  });
});

describe("states", () => {
  test("a failure says why as text, and can be tried again", async () => {
    open({ selection: ["L4H0.z"] });
    const error = { type: "E", message: "<i>no memory</i>" };
    await answer({ ok: false, error, payload: null });
    const status = find(".pw-head-status", HTMLElement);
    expect(status.textContent).toContain("<i>no memory</i>");
    find("button", HTMLButtonElement, status).click();
    expect(host.sent).toHaveLength(2);
    await answer();
    expect(status.textContent).toBe("");
  });

  test("an answer of another form is a failure in words", async () => {
    open({ selection: ["L4H0.z"] });
    await answer({}, [new Float32Array(SIZE * SIZE)]);
    expect(textOf(".pw-head-status")).toContain("attention.clean");
    expect(find(".pw-panels", HTMLElement).hidden).toBe(true);
  });

  test("one head that failed leaves the others as they are", async () => {
    open();
    await answer({ payload: { heads: [], size: SIZE, dtype: "uint16" } }, [
      new Uint16Array(0),
      new Uint16Array(0),
      new Float32Array(0),
      new Float32Array(0),
    ]);
    expect(thumbs().map((thumb) => thumb.textContent)).toEqual([
      "L4H0name moverfailed",
      "L3H1failed",
      "L2H5failed",
    ]);
  });

  test("one token is drawn", async () => {
    open(CASES.oneToken?.());
    await answer({}, undefined, 1);
    expect(canvas().dataset.drawn).toBe("");
    expect(place.querySelectorAll(".pw-focus-token")).toHaveLength(1);
    expect(find(".pw-zoom", HTMLElement).hidden).toBe(true);
  });

  test("long prompts are drawn coarsely in passing, and in full at rest", async () => {
    openAlone({ study: { ...STUDY, n_pos: 700 } });
    await answer({}, undefined, 700);
    await vi.waitUntil(() => place.querySelectorAll("[data-drawn]").length === 3, 20e3);
    const { width } = canvas();
    const made = vi.spyOn(document, "createElement");
    // Thumbnails are smaller, and drawn once more when their pyramids are there.
    const cells = () =>
      made.mock.results
        .map(({ value }) => value)
        .filter((value) => value instanceof HTMLCanvasElement)
        .map((value) => value.width)
        .filter((cells) => cells >= Math.floor(width / 2));
    const wheel = { ...over(canvas(), 100, 50, 700), ctrlKey: true, deltaY: -100 };
    canvas().dispatchEvent(new WheelEvent("wheel", wheel));
    expect(new Set(cells())).toEqual(new Set([Math.floor(width / 2)])); // in passing
    made.mockClear();
    await vi.waitUntil(() => cells().length >= 3, 20e3);
    expect(new Set(cells())).toEqual(new Set([width])); // at rest
  });

  test("2,000 tokens are drawn in no more cells than pixels", async () => {
    openAlone(CASES.veryLong?.());
    await answer({}, undefined, 2000);
    expect(canvas("difference").dataset.drawn).toBeUndefined(); // it takes a while
    await vi.waitUntil(() => place.querySelectorAll("[data-drawn]").length === 3, 20e3);
    const { width } = canvas("difference");
    expect(width).toBeGreaterThan(200);
    expect(width).toBeLessThan(500);
    expect(place.querySelectorAll(".pw-attention-panel .pw-tick").length).toBeLessThan(
      300,
    );
  });
});

describe("thumbnails", () => {
  test("are named, also by the user, and never as markup", async () => {
    open({ names: { L3H1: "<b>mover</b>" } });
    await answer();
    expect(thumbs().map(({ dataset }) => dataset.head)).toEqual([
      "L4H0",
      "L3H1",
      "L2H5",
    ]);
    expect(thumbs()[1]?.textContent).toContain("<b>mover</b>");
    expect(place.querySelector("b")).toBeNull();
    host.receive("names", { L3H1: "other" });
    expect(thumbs()[1]?.getAttribute("aria-label")).toBe(
      "L3H1, other: clean − corrupted",
    );
  });

  test("a click, an arrow key or a new pick chooses the large head", async () => {
    open();
    await answer();
    const large = () => canvas().parentElement?.closest("figure")?.dataset.head;
    expect(large()).toBe("L4H0");
    thumbs()[2]?.click();
    expect(large()).toBe("L2H5");
    expect(thumbs().map((thumb) => thumb.getAttribute("aria-checked"))).toEqual([
      "false",
      "false",
      "true",
    ]);
    expect(thumbs().map(({ tabIndex }) => tabIndex)).toEqual([-1, -1, 0]);
    expect(press(thumbs()[2] ?? place, "ArrowRight").defaultPrevented).toBe(true);
    expect(large()).toBe("L4H0");
    expect(document.activeElement).toBe(thumbs()[0]);
    host.receive("selection", [...THREE, "L1H7.z"]);
    expect(large()).toBe("L1H7");
    host.receive("selection", THREE);
    expect(large()).toBe("L4H0");
  });

  test("one head has none", async () => {
    open({ selection: ["L4H0.z"] });
    await answer();
    expect(find(".pw-thumbnails", HTMLElement).hidden).toBe(true);
  });

  test("mark their head in the other views", () => {
    open();
    thumbs()[1]?.dispatchEvent(new MouseEvent("pointerenter"));
    expect(thumbs()[1]?.classList).toContain("pw-linked");
    expect(thumbs()[0]?.classList).not.toContain("pw-linked");
  });
});

describe("the large head", () => {
  test("has three panels side by side, or one", async () => {
    open();
    await answer();
    const runs = () =>
      [...place.querySelectorAll<HTMLElement>(".pw-attention-panel")].map(
        ({ dataset }) => dataset.run,
      );
    expect(runs()).toEqual(["clean", "corrupted", "difference"]);
    const narrow = Number.parseFloat(canvas().style.width);
    aspect("corrupted");
    expect(runs()).toEqual(["corrupted"]);
    expect(Number.parseFloat(canvas("corrupted").style.width)).toBeGreaterThan(narrow);
    expect(canvas("corrupted").getAttribute("aria-label")).toContain(
      "Attention of L4H0, corrupted",
    );
  });

  test("stacks its panels where there is no room beside one another", async () => {
    open({}, 380);
    await answer();
    expect(find(".pw-panels", HTMLElement).classList).toContain("pw-stacked");
    browser.resize(900);
    expect(find(".pw-panels", HTMLElement).classList).not.toContain("pw-stacked");
  });

  test("a cell is read out in numbers, value-weighted too", async () => {
    open({ selection: ["L4H0.z"] });
    await answerEven();
    canvas().dispatchEvent(new MouseEvent("pointermove", over(canvas(), 14, 2)));
    expect(textOf(".pw-attention-readout")).toBe(
      "L4H0 from END to IO: clean 0.500, corrupted 0.250; " +
        "value-weighted clean 1.000, corrupted 1.000",
    );
    const prompt = '.pw-prompt .pw-token[data-pos="2"]';
    expect(find(prompt, HTMLElement).classList).toContain("pw-source");
    expect(token(14).classList).toContain("pw-at");
    expect(token(2).classList).toContain("pw-source");
    canvas().dispatchEvent(new MouseEvent("pointermove", over(canvas(), 2, 14)));
    expect(textOf(".pw-attention-readout")).toContain("nothing, it comes later");
  });

  test("a moving pointer paints nothing", async () => {
    open();
    await answer();
    const before = canvas().getContext;
    const count = vi.mocked(before).mock.calls.length;
    for (let row = 0; row < SIZE; row++) {
      canvas().dispatchEvent(new MouseEvent("pointermove", over(canvas(), row, row)));
    }
    expect(vi.mocked(before).mock.calls.length).toBe(count);
    expect(host.sent).toHaveLength(1);
  });

  test("value weighting and an own scale change the drawn scales", async () => {
    open();
    await answer();
    const scales = () => textOf(".pw-attention-bars");
    const plain = scales();
    const [weighted, own] = place.querySelectorAll<HTMLElement>(".pw-toggle");
    weighted?.click();
    expect(weighted?.getAttribute("aria-pressed")).toBe("true");
    expect(scales()).not.toBe(plain);
    expect(scales()).toContain("attention × value norm");
    own?.click();
    expect(own?.getAttribute("aria-pressed")).toBe("true");
  });
});

describe("zoom", () => {
  const zoomButton = (label: string) =>
    find(`.pw-zoom [aria-label="${label}"]`, HTMLButtonElement);

  test("by buttons, in all panels together", async () => {
    open();
    await answer();
    expect(zoomPart()).toBe("");
    expect(zoomButton("Zoom out").disabled).toBe(true);
    zoomButton("Zoom in").click();
    expect(zoomPart()).toBe("11 of 15 tokens");
    for (const run of ["clean", "corrupted", "difference"]) {
      expect(canvas(run).dataset.zoomed).toBe("");
    }
    zoomButton("Zoom in").click();
    expect(zoomButton("Zoom in").disabled).toBe(true);
    zoomButton("Fit the whole pattern").click();
    expect(zoomPart()).toBe("");
  });

  test("by wheel with Ctrl, which the browser does not get; without, it scrolls", async () => {
    open();
    await answer();
    const turn = (ctrlKey: boolean) => {
      const init = { ...over(canvas(), 14, 14), deltaY: -100, ctrlKey };
      const event = new WheelEvent("wheel", init);
      canvas().dispatchEvent(event);
      return event.defaultPrevented;
    };
    expect(turn(false)).toBe(false);
    expect(zoomPart()).toBe("");
    expect(turn(true)).toBe(true);
    expect(zoomPart()).toBe("11 of 15 tokens");
    // The cell under the pointer stayed there.
    canvas().dispatchEvent(new MouseEvent("pointermove", over(canvas(), 10, 10, 11)));
    expect(textOf(".pw-attention-readout")).toContain("from END to END");
  });

  test("by keyboard; arrows move on and bring their cell into view", async () => {
    open();
    await answer();
    expect(press(canvas(), "+").defaultPrevented).toBe(true);
    press(canvas(), "+");
    expect(zoomPart()).toBe("8 of 15 tokens");
    for (let step = 0; step < 14; step++) press(canvas(), "ArrowDown");
    expect(textOf(".pw-attention-readout")).toContain("L4H0 from END to");
    canvas().dispatchEvent(new MouseEvent("pointermove", over(canvas(), 7, 0, 8)));
    expect(textOf(".pw-attention-readout")).toContain("from END to <|endoftext|> 0");
    press(canvas(), "-");
    expect(zoomPart()).toBe("11 of 15 tokens");
    press(canvas(), "0");
    expect(zoomPart()).toBe("");
    expect(press(canvas(), "Tab").defaultPrevented).toBe(false);
  });

  test("a drag pans, and is no click", async () => {
    open();
    await answer();
    press(canvas(), "+");
    const side = Number.parseFloat(canvas().style.width);
    const send = (type: string, clientX: number, clientY: number) =>
      canvas().dispatchEvent(
        new MouseEvent(type, { clientX, clientY, bubbles: true, button: 0 }),
      );
    send("pointerdown", side / 2, side / 2);
    send("pointermove", side / 2 - side, side / 2 - side);
    send("pointerup", side / 2 - side, side / 2 - side);
    send("click", 1, 1);
    expect(place.querySelector(".pw-locked")).toBeNull();
    send("pointermove", 1, 1);
    expect(textOf(".pw-attention-readout")).toContain("from S1 to S1");
    send("pointerdown", 1, 1);
    send("pointerup", 1, 1);
    send("click", 1, 1);
    expect(token(4).classList).toContain("pw-locked");
  });

  test("stays when another head is chosen", async () => {
    open();
    await answer();
    press(canvas(), "+");
    thumbs()[1]?.click();
    expect(zoomPart()).toBe("11 of 15 tokens");
  });
});

describe("the token strip", () => {
  const background = (position: number, line = 0) => {
    const lines = token(position).querySelectorAll<HTMLElement>(".pw-focus-text");
    return lines[line]?.style.background ?? "";
  };
  const hover = (position: number) =>
    token(position).dispatchEvent(new MouseEvent("pointerover", { bubbles: true }));
  const leave = () =>
    token(0).parentElement?.dispatchEvent(new MouseEvent("pointerleave"));

  test("colours what the hovered token attends to, and no later one", async () => {
    open({ selection: ["L4H0.z"] });
    await answerEven();
    expect(background(3)).toBe("");
    hover(5);
    expect(background(5)).not.toBe("");
    expect(background(3)).toBe(background(5));
    expect(background(6)).toBe("");
    expect(background(3, 1)).not.toBe(background(3, 0)); // half as much
    expect(textOf(".pw-focus-title")).toBe("L4H0: ·went 5 attends to");
    expect(textOf(".pw-focus-words")).toContain("clean: <|endoftext|> 0 0.500");
    leave();
    expect(background(3)).toBe("");
  });

  test("or what attends to it", async () => {
    open({ selection: ["L4H0.z"] });
    await answerEven();
    find('[data-direction="from"]', HTMLButtonElement).click();
    hover(5);
    expect([background(4), background(5)].map((colour) => colour === "")).toEqual([
      true,
      false,
    ]);
    expect(background(14)).toBe(background(5));
    expect(textOf(".pw-focus-title")).toBe("L4H0: ·went 5 is attended by");
  });

  test("follows the pointer in other views", async () => {
    open({ selection: ["L4H0.z"] });
    await answerEven();
    const prompt = find('.pw-prompt .pw-token[data-pos="4"]', HTMLElement);
    prompt.dispatchEvent(new MouseEvent("pointerover", { bubbles: true }));
    expect(textOf(".pw-focus-title")).toBe("L4H0: S1 attends to");
    expect(background(4)).not.toBe("");
  });

  test("a click keeps a token; hovering others then reads out pairs", async () => {
    open({ selection: ["L4H0.z"] });
    await answerEven();
    token(14).click();
    expect(token(14).getAttribute("aria-selected")).toBe("true");
    leave();
    expect(background(3)).not.toBe("");
    expect(textOf(".pw-focus-title")).toBe("L4H0: END (kept) attends to");
    hover(2);
    expect(textOf(".pw-attention-readout")).toContain("L4H0 from END to IO");
    token(14).click();
    leave();
    expect(background(3)).toBe("");
    expect(token(14).getAttribute("aria-selected")).toBe("false");
  });

  test("by keyboard: arrows, Home and End move, Enter keeps, Escape lets go", async () => {
    open({ selection: ["L4H0.z"] });
    await answerEven();
    const leaked: string[] = [];
    place.addEventListener("keydown", ({ key }) => leaked.push(key));
    expect(token(0).tabIndex).toBe(0);
    token(0).focus();
    press(token(0), "ArrowRight");
    expect(document.activeElement).toBe(token(1));
    expect([token(0).tabIndex, token(1).tabIndex]).toEqual([-1, 0]);
    press(token(1), "End");
    expect(document.activeElement).toBe(token(14));
    press(token(14), "ArrowRight");
    expect(document.activeElement).toBe(token(14));
    expect(press(token(14), "Enter").defaultPrevented).toBe(true);
    expect(token(14).classList).toContain("pw-locked");
    press(token(14), "Escape");
    expect(token(14).classList).not.toContain("pw-locked");
    press(token(14), "Home");
    expect(document.activeElement).toBe(token(0));
    expect(store.selection.value).toEqual(["L4H0.z"]);
    expect(leaked).toEqual([]);
  });

  test("shows the tokens of the run, and odd ones as text", async () => {
    open({ ...CASES.tokens?.(), selection: ["L4H0.z"] });
    await answer();
    aspect("clean");
    expect(token(0).textContent).toContain("<script>alert(1)</script>");
    expect(token(1).textContent).toContain("⏎⏎");
    expect(token(2).textContent).toContain("⟨U+200B⟩");
    aspect("corrupted");
    expect(token(1).textContent).toBe("⏎");
    expect(place.querySelector("script, b")).toBeNull();
  });
});

describe("the hand-off to CircuitsVis", () => {
  const frame = () => place.querySelector("iframe");
  const buttonOf = (label: string) => {
    const buttons = [...place.querySelectorAll("button")];
    const found = buttons.find(({ textContent }) => textContent === label);
    if (!found) throw new Error(`no button ${label}`);
    return found;
  };

  test("shows the kernel's document in a frame that can reach nothing", async () => {
    open();
    await answer();
    buttonOf("open in CircuitsVis").click();
    const nodes = ["L4H0.pattern", "L3H1.pattern", "L2H5.pattern"];
    expect(host.sent.at(-1)).toMatchObject({
      kind: "circuitsvis.get",
      nodes,
      pair: -1,
    });
    expect(textOf(".pw-circuitsvis")).toContain("Waiting");
    const html = "<!doctype html><script>1</script>";
    await answer({ payload: { html, needs_network: true } }, []);
    expect(frame()?.getAttribute("sandbox")).toBe("allow-scripts");
    expect(frame()?.srcdoc).toBe(html);
    expect(textOf(".pw-circuitsvis")).toContain("from the network");
    buttonOf("close").click();
    expect(frame()).toBeNull();
    expect(find(".pw-circuitsvis", HTMLElement).hidden).toBe(true);
  });

  test("says nothing of the network where none is needed", async () => {
    open();
    buttonOf("open in CircuitsVis").click();
    await answer({ payload: { html: "<p>", needs_network: false } }, []);
    expect(textOf(".pw-circuitsvis")).not.toContain("network");
  });

  test.each([
    ["refused", { ok: false, error: { type: "E", message: "<b>not installed</b>" } }],
    ["of another form", { payload: { html: 3, needs_network: false } }],
    ["of an odd form", { payload: { html: "", needs_network: "no" } }],
  ])(
    "an answer that is %s is shown as text, and can be asked again",
    async (_, more) => {
      open();
      buttonOf("open in CircuitsVis").click();
      await answer(more, []);
      expect(textOf(".pw-circuitsvis")).toContain("Not opened:");
      expect(place.querySelector("b")).toBeNull();
      expect(frame()).toBeNull();
      const before = host.sent.length;
      buttonOf("try again").click();
      expect(host.sent.length).toBe(before + 1);
    },
  );

  test("what comes after it was closed, or for another study, is dropped", async () => {
    open();
    await answer();
    buttonOf("open in CircuitsVis").click();
    buttonOf("close").click();
    await answer({ payload: { html: "<p>", needs_network: false } }, []);
    expect(frame()).toBeNull();
    buttonOf("open in CircuitsVis").click();
    await answer({ payload: { html: "<p>", needs_network: false } }, []);
    expect(frame()).not.toBeNull();
    host.receive("study", { ...STUDY, model: "other" });
    expect(frame()).toBeNull();
  });
});

test("an output that goes leaves nothing behind", async () => {
  open();
  await answer();
  life.abort();
  host.receive("selection", ["L1H1.z"]);
  expect([browser.alive(), host.listenerCount()]).toEqual([0, 0]);
  expect(host.sent).toHaveLength(1);
});
