/** Numbers as text: a true minus sign, and NaN in words. */

/** A signed value with three decimals, or a fourth where those say little. */
export function signed(value: number): string {
  return Number.isFinite(value) ? withSign(value) + plain(Math.abs(value)) : odd(value);
}

export function unsigned(value: number): string {
  if (!Number.isFinite(value)) return odd(value);
  return (value < 0 ? "−" : "") + plain(Math.abs(value));
}

/** A tick of an axis: no more digits than it needs. */
export function tick(value: number): string {
  const digits = Number(Math.abs(value).toPrecision(3)).toString();
  return (value < 0 ? "−" : "") + digits;
}

function withSign(value: number): string {
  if (value === 0) return "";
  return value < 0 ? "−" : "+";
}

function plain(size: number): string {
  if (size === 0) return "0";
  if (size >= 1e5 || size < 5e-5) return size.toExponential(0).replace("-", "−");
  if (size < 5e-4) return size.toFixed(4);
  return size < 100 ? size.toFixed(3) : size.toFixed(1);
}

function odd(value: number): string {
  if (Number.isNaN(value)) return "not a number";
  return value < 0 ? "−∞" : "∞";
}
