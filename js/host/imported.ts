/** Modules that came as text. */

/** From a page of its own or a notebook, nothing may be imported but what it has made. */
export async function imported<T>(code: string | Uint8Array<ArrayBuffer>): Promise<T> {
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  try {
    return await import(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}
