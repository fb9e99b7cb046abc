import { describe, expect, test } from "bun:test";
import { isNavigation, isPrefetch } from "../../src/edge/navigation.ts";

type Fields = Record<string, string>;

const CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

describe("a person waits for a page", () => {
  test.each<[what: string, fields: Fields, navigation: boolean]>([
    ["a browser that follows a link", { "Sec-Fetch-Mode": "navigate", Accept: CHROME }, true],
    ["a browser that loads a frame", { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe" }, true],
    ["a fetch to this origin", { "Sec-Fetch-Mode": "same-origin", Accept: "*/*" }, false],
    ["a cross-origin fetch", { "Sec-Fetch-Mode": "cors", Accept: "*/*" }, false],
    ["an image or script", { "Sec-Fetch-Mode": "no-cors", Accept: "image/*" }, false],
    ["a WebSocket", { "Sec-Fetch-Mode": "websocket" }, false],
    ["a fetch that asks for HTML", { "Sec-Fetch-Mode": "cors", Accept: CHROME }, false],
    [
      "a navigation that names XMLHttpRequest",
      { "Sec-Fetch-Mode": "navigate", "X-Requested-With": "XMLHttpRequest" },
      true,
    ],
    ["a mode nobody knows", { "Sec-Fetch-Mode": "Navigate" }, false],
    ["an empty mode", { "Sec-Fetch-Mode": "", Accept: CHROME }, false],
    ["Sec-Fetch-Site without a mode", { "Sec-Fetch-Site": "same-origin", Accept: CHROME }, false],
    ["Sec-Fetch-Dest without a mode", { "Sec-Fetch-Dest": "document", Accept: CHROME }, false],
    ["an old browser", { Accept: CHROME }, true],
    ["an old browser's XHR", { Accept: CHROME, "X-Requested-With": "XMLHttpRequest" }, false],
    ["curl", { Accept: "*/*" }, false],
    ["nothing at all", {}, false],
    ["an empty Accept", { Accept: "" }, false],
    ["a program that wants JSON", { Accept: "application/json" }, false],
    ["axios", { Accept: "application/json, text/plain, */*" }, false],
    ["an event stream", { Accept: "text/event-stream" }, false],
    ["HTML or JSON alike", { Accept: "text/html, application/json" }, true],
    ["JSON rather than HTML", { Accept: "application/json, text/html;q=0.5" }, false],
    ["HTML rather than JSON", { Accept: "application/json;q=0.5, text/html" }, true],
    ["problem+json rather than HTML", { Accept: "application/problem+json, text/html;q=0.9" }, false],
    ["no HTML, please", { Accept: "text/html;q=0, */*" }, false],
    ["XHTML", { Accept: "application/xhtml+xml" }, true],
    ["capitals", { Accept: "TEXT/HTML" }, true],
    ["a quality that is none", { Accept: "text/html;q=x" }, true],
    ["a type that only begins so", { Accept: "text/htmlx" }, false],
  ])("%s", (_, fields, navigation) => {
    expect(isNavigation(new Headers(fields))).toBe(navigation);
  });
});

describe("nobody has decided on it yet", () => {
  test.each<[what: string, fields: Fields, prefetch: boolean]>([
    ["a prefetch", { "Sec-Purpose": "prefetch" }, true],
    ["a prerender", { "Sec-Purpose": "prefetch;prerender" }, true],
    ["a prefetch through a proxy", { "Sec-Purpose": "prefetch;anonymous-client-ip" }, true],
    ["an older Chromium", { Purpose: "prefetch" }, true],
    ["Safari's previews", { "X-Purpose": "preview" }, true],
    ["Purpose: preview", { Purpose: "preview" }, true],
    ["Firefox", { "X-Moz": "prefetch" }, true],
    ["capitals", { "Sec-Purpose": "Prefetch" }, true],
    ["a request that says nothing", {}, false],
    ["another purpose", { "Sec-Purpose": "x" }, false],
  ])("%s", (_, fields, prefetch) => {
    expect(isPrefetch(new Headers(fields))).toBe(prefetch);
  });
});
