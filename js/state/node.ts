/** Node names: `L4H0.z`, `L4H0.q@12`, `L4H0.pattern@12,4`, `L3.resid_pre@5`. */

const POSITION_KINDS = [
  "resid_pre",
  "resid_mid",
  "resid_post",
  "attn_out",
  "mlp_out",
] as const;

export const HEAD_KINDS = ["z", "q", "k", "v", "pattern"] as const;

/** In the order in which they are shown. */
export const KINDS = [...POSITION_KINDS, ...HEAD_KINDS] as const;

type PositionKind = (typeof POSITION_KINDS)[number];
type HeadKind = (typeof HEAD_KINDS)[number];
export type Kind = PositionKind | HeadKind;

export interface Node {
  kind: Kind;
  layer: number;
  /** The KV head for `k` and `v`; null for kinds without heads. */
  head: number | null;
  /** The destination (query) position for `pattern`; null for all positions. */
  pos: number | null;
  /** The source (key) position, for `pattern` only. */
  src: number | null;
}

const NAME = /^L(\d+)(?:H(\d+))?\.([a-z_]+)(?:@(\d+)(?:,(\d+))?)?$/;

export function isHeadKind(kind: string): kind is HeadKind {
  return (HEAD_KINDS as readonly string[]).includes(kind); // widened: any text is asked
}

export function isKind(kind: string): kind is Kind {
  return (KINDS as readonly string[]).includes(kind); // widened, as above
}

/** Null for a name that is no node: it may come from a newer kernel, or a user. */
export function parseNode(name: string): Node | null {
  const match = NAME.exec(name);
  if (!match) return null;
  const [, layer, headText, kind = "", posText, srcText] = match;
  const [head, pos, src] = [headText, posText, srcText].map(numberOrNull);
  const node = { layer: Number(layer), head: head ?? null, pos: pos ?? null };
  if (isHeadKind(kind)) {
    const fits = node.head !== null && (src === null || kind === "pattern");
    return fits ? { ...node, kind, src: src ?? null } : null;
  }
  if (!isKind(kind) || node.head !== null || node.pos === null) return null;
  return srcText === undefined ? { ...node, kind, src: null } : null;
}

export function formatNode({ kind, layer, head, pos, src }: Node): string {
  const place = head === null ? `L${layer}` : `L${layer}H${head}`;
  const source = src === null ? "" : `,${src}`;
  return pos === null ? `${place}.${kind}` : `${place}.${kind}@${pos}${source}`;
}

/** The node of a cell in the grid of a kind: columns are heads, or positions. */
export function cellNode(kind: Kind, row: number, column: number): Node {
  const node = { kind, layer: row, head: null, pos: null, src: null };
  return isHeadKind(kind) ? { ...node, head: column } : { ...node, pos: column };
}

/** Where a node lies in the grid of its kind; null for finer nodes, which have none. */
export function nodeCell(node: Node): { row: number; column: number } | null {
  const { kind, layer, head, pos } = node;
  const column = isHeadKind(kind) ? (pos === null ? head : null) : pos;
  return column === null ? null : { row: layer, column };
}

function numberOrNull(digits: string | undefined): number | null {
  return digits === undefined ? null : Number(digits);
}
