/** Attention of the picked heads: small ones to choose from, one large, and its tokens. */

import { el, react } from "../draw/dom";
import { headName } from "../state/attention";
import { createLook, nextChosen } from "../state/look";
import { patternBytes } from "../state/pattern";
import type { Study } from "../state/study";
import { shownPair } from "../state/tokens";
import { attentionControls } from "./aspects";
import { circuitsvisFrame } from "./circuitsvis";
import { createHeads, type HeadsView } from "./heads";
import { largeHead } from "./large";
import { tokenStrip } from "./strip";
import { thumbnails } from "./thumbnails";
import type { MakeView } from "./view";
import { attentionReadout } from "./weights";
import { counted } from "./words";

/** Narrower, the read-out may take a second line, whose room is kept free. */
const ONE_LINE = 860;

export const attentionView: MakeView = (plain) => {
  const view = createHeads(plain, createLook());
  const { store, ui, signal, picked, heads } = view;
  const name = el("span");
  const title = el(
    "div",
    "pw-section-title pw-attention-title",
    name,
    el("span", "pw-attention-readout", attentionReadout(view)),
  );
  const frame = circuitsvisFrame(view);
  const drawn = el(
    "div",
    "pw-attention-body",
    attentionControls(view, frame.button),
    thumbnails(view),
    el("div", "pw-attention-large", largeHead(view), tokenStrip(view)),
  );
  const more = el("div", "pw-quiet pw-attention-more");
  const section = el("section", "pw-attention", title, drawn, more);
  section.append(frame.element);
  react(signal, () => {
    title.classList.toggle("pw-narrow", ui.width.value < ONE_LINE);
    section.hidden = picked.value.length === 0;
    drawn.hidden = heads.value.length === 0;
    name.textContent = `Attention, ${pairWords(store.study.value, store.pair.value)}`;
    more.textContent = moreWords(view);
  });
  chooseHeads(view);
  askForPatterns(view);
  return section;
};

/** What is added to the picks is looked at; with another study all is forgotten. */
function chooseHeads({ store, look, heads, signal }: HeadsView): void {
  let before = heads.peek();
  look.chosen.value = nextChosen("", [], before);
  react(signal, () => {
    const now = heads.value;
    look.chosen.value = nextChosen(look.chosen.peek(), before, now);
    before = now;
  });
  react(signal, () => {
    store.study.value; // read, so that this runs again with every new study
    look.locked.value = null;
  });
}

/** Nothing is asked for that nobody looks at. */
function askForPatterns({ store, look, heads, signal }: HeadsView): void {
  react(signal, () => {
    const study = store.study.value;
    store.attention.patterns.value; // read: a new study takes the patterns away
    if (!study || store.folds.value.includes("attention")) return;
    const large = look.chosen.peek();
    const first = heads.value.filter((head) => headName(head) === large);
    const rest = heads.value.filter((head) => headName(head) !== large);
    store.attention.want([...first, ...rest], store.pair.value, study.positions);
  });
}

/** Under a mean, what differs between pairs may cancel out: so it is said. */
function pairWords(study: Study | null, pair: number): string {
  const count = study?.pairs.length ?? 0;
  return pair < 0 && count > 1
    ? `mean of ${count} pairs`
    : `pair ${shownPair(pair) + 1}`;
}

function moreWords({ store, picked, heads }: HeadsView): string {
  const hidden = picked.value.length - heads.value.length;
  if (hidden === 0) return "";
  const positions = store.study.value?.positions ?? 0;
  const room = Math.round(patternBytes(positions) / 2 ** 20);
  const tokens = counted(positions, "token");
  if (heads.value.length === 0) {
    return `Not drawn: with ${tokens} the patterns of one head take ${room} MB.`;
  }
  const why = room > 0 ? `: with ${tokens} each takes ${room} MB` : "";
  const are = hidden === 1 ? "is" : "are";
  return `${counted(hidden, "more picked head")} ${are} not drawn${why}.`;
}
