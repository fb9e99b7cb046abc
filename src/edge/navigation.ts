/** What kind of request it is, judged by what browsers say about it (Fetch Metadata, W3C). */

/**
 * Whether a person is waiting for a page. Browsers say so (`Sec-Fetch-Mode`); of the others, whoever prefers HTML and is
 * not a script.
 */
export function isNavigation(headers: Headers): boolean {
  const mode = headers.get("sec-fetch-mode");
  if (mode !== null) return mode === "navigate";
  if (headers.has("sec-fetch-dest") || headers.has("sec-fetch-site")) return false;
  if (headers.has("x-requested-with")) return false;
  const accept = headers.get("accept");
  return accept !== null && prefersHtml(accept);
}

/** A browser's question whether a page elsewhere may send what it means to (Fetch, "CORS-preflight fetch"). */
export function isPreflight(headers: Headers): boolean {
  return headers.has("origin") && headers.has("access-control-request-method");
}

/** A link preview, prefetch or prerender: a request that nobody has decided on yet. */
export function isPrefetch(headers: Headers): boolean {
  return (
    /prefetch|prerender/i.test(headers.get("sec-purpose") ?? "") ||
    /prefetch|prerender|preview/i.test(headers.get("purpose") ?? "") ||
    /prefetch|prerender|preview/i.test(headers.get("x-purpose") ?? "") ||
    headers.has("x-moz")
  );
}

/** Not a scanner's HEAD, a preview, a prefetch, or something that a page fetches or puts into a frame. */
export function isDeliberate(method: string, headers: Headers): boolean {
  const mode = headers.get("sec-fetch-mode") ?? "navigate";
  const destination = headers.get("sec-fetch-dest") ?? "document";
  return method === "GET" && !isPrefetch(headers) && mode === "navigate" && destination === "document";
}

/** RFC 9110 §12.5.1, as far as needed: HTML named with a quality no lower than JSON's. A bare wildcard prefers nothing. */
function prefersHtml(accept: string): boolean {
  let html = 0;
  let json = 0;
  for (const part of accept.toLowerCase().split(",")) {
    const [type = "", ...parameters] = part.split(";");
    const quality = parameters.map((text) => /^\s*q\s*=\s*([0-9.]+)\s*$/.exec(text)?.[1]).find(Boolean);
    const q = quality === undefined ? 1 : Number(quality);
    const name = type.trim();
    if (name === "text/html" || name === "application/xhtml+xml") html = Math.max(html, q);
    if (name === "application/json" || name.endsWith("+json")) json = Math.max(json, q);
  }
  return html > 0 && html >= json;
}
