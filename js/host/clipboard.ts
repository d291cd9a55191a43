/** Handing something to the user: by the clipboard, else as a file. */

export interface Parcel {
  /** Text, or a PNG. */
  content: string | Blob;
  /** Its name as a file. */
  name: string;
}

export type HandedOver = "copied" | "saved";

/** Frames and old browsers refuse the clipboard; all can save a file. */
export async function handOver({ content, name }: Parcel): Promise<HandedOver> {
  try {
    if (typeof content === "string") await navigator.clipboard.writeText(content);
    else await navigator.clipboard.write([new ClipboardItem({ "image/png": content })]);
    return "copied";
  } catch {
    save(new Blob([content]), name);
    return "saved";
  }
}

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The download has begun when the event has been handled.
  setTimeout(() => URL.revokeObjectURL(link.href), 0);
}
