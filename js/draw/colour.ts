/**
 * Colour maps around zero: red below, blue above, in every kind of colour vision.
 *
 * Stops are in OKLCH, both arms with the same lightness, so that equal magnitudes look
 * equally strong; between stops the way is straight in OKLab.
 */

type Oklch = readonly [lightness: number, chroma: number, hue: number];
export type Rgb = readonly [red: number, green: number, blue: number];

/** Colours from -1 to 1 in even steps, as RGBA bytes. */
export type ColourMap = Uint8ClampedArray;

export interface Palette {
  /** Effects, and differences of attention. */
  diverging: ColourMap;
  /** Misses, which have no sign: only the upper half is used. */
  miss: ColourMap;
}

/** Steps on each side of zero. */
const STEPS = 255;

const RED = 28;
const BLUE = 254;
const PURPLE = 315;

/** Lightness and chroma at zero, half way and at the end. */
const LIGHT = { zero: [0.965, 0.003], half: [0.7, 0.125], end: [0.36, 0.125] } as const;
/** On a dark page zero is dark: what stands out is what has an effect. */
const DARK = { zero: [0.285, 0.006], half: [0.57, 0.13], end: [0.86, 0.085] } as const;

export function makePalette(dark: boolean): Palette {
  const tone = dark ? DARK : LIGHT;
  const zero: Oklch = [...tone.zero, BLUE];
  const arm = (hue: number): Oklch[] => [zero, [...tone.half, hue], [...tone.end, hue]];
  return {
    diverging: makeMap(arm(RED), arm(BLUE)),
    miss: makeMap(arm(PURPLE), arm(PURPLE)),
  };
}

/** The place of a value in a map's bytes; beyond the scale, the colour of its end. */
export function colourOffset(value: number, scale: number): number {
  const share = scale > 0 ? Math.max(-1, Math.min(1, value / scale)) : 0;
  return (Math.round(share * STEPS) + STEPS) * 4;
}

export function colourAt(map: ColourMap, share: number): Rgb {
  const offset = colourOffset(share, 1);
  return [map[offset] ?? 0, map[offset + 1] ?? 0, map[offset + 2] ?? 0];
}

export function css([red, green, blue]: Rgb): string {
  return `rgb(${red} ${green} ${blue})`;
}

function makeMap(below: readonly Oklch[], above: readonly Oklch[]): ColourMap {
  const map = new Uint8ClampedArray((2 * STEPS + 1) * 4);
  for (let step = -STEPS; step <= STEPS; step++) {
    const rgb = between(step < 0 ? below : above, Math.abs(step) / STEPS);
    map.set([...rgb, 255], (step + STEPS) * 4);
  }
  return map;
}

function between(stops: readonly Oklch[], share: number): Rgb {
  const at = share * (stops.length - 1);
  const first = Math.min(Math.floor(at), stops.length - 2);
  const [from, to] = [stops[first], stops[first + 1]];
  if (!from || !to) return [0, 0, 0];
  const [a, b] = [toLab(from), toLab(to)];
  const mixed = a.map(
    (value, index) => value + ((b[index] ?? 0) - value) * (at - first),
  );
  return labToRgb(mixed);
}

function toLab([lightness, chroma, hue]: Oklch): number[] {
  const angle = (hue * Math.PI) / 180;
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
}

/** The published OKLab to linear sRGB transform, then sRGB's transfer curve. */
function labToRgb([lightness = 0, a = 0, b = 0]: readonly number[]): Rgb {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    toByte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    toByte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    toByte(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

function toByte(linear: number): number {
  const share = Math.max(0, Math.min(1, linear));
  const curved =
    share <= 0.0031308 ? 12.92 * share : 1.055 * share ** (1 / 2.4) - 0.055;
  return Math.round(curved * 255);
}
