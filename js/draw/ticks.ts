/** Which labels of a long axis are drawn. */

/**
 * Indices, relative to `first`, of labels at least `step` apart. Preferred positions come
 * first, in their order; then round positions of the whole axis, so that labels stand
 * still while the axis is moved under them.
 */
export function labelTicks(
  first: number,
  count: number,
  step: number,
  preferred: Iterable<number> = [],
): number[] {
  const taken = new Uint8Array(count);
  const offer = (position: number) => {
    const at = position - first;
    if (at < 0 || at >= count) return;
    const near = taken.subarray(Math.max(0, at - step + 1), at + step);
    if (!near.includes(1)) taken[at] = 1;
  };
  for (const position of preferred) offer(position);
  for (let at = Math.ceil(first / step) * step; at < first + count; at += step) {
    offer(at);
  }
  return [...taken.keys()].filter((at) => taken[at] === 1);
}
