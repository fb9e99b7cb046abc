import { describe, expect, test } from "bun:test";
import { type AssetName, assetPath, findAsset } from "../../src/pages/assets.ts";

const cases: [name: AssetName, type: string, start: string][] = [
  ["app.js", "text/javascript; charset=utf-8", "/**"],
  ["icon.png", "image/png", "\x89PNG\r\n"],
  ["logo.svg", "image/svg+xml", "<svg"],
  ["style.css", "text/css; charset=utf-8", ":root"],
];

test.each(cases)("%s is found under the hash of its content", (name, type, start) => {
  const path = assetPath(name);
  const asset = findAsset(path);
  const [stem, extension] = name.split(".");
  const hash = new Bun.CryptoHasher("sha256").update(asset?.body ?? "").digest("hex");
  expect(path).toBe(`/_runegate/static/${stem}.${hash.slice(0, 12)}.${extension}`);
  expect(asset?.etag).toBe(`"${hash.slice(0, 12)}"`);
  expect(asset?.type).toBe(type);
  expect(Buffer.from(asset?.body ?? []).toString("latin1")).toStartWith(start);
});

test.each([
  "/_runegate/static/",
  "/_runegate/static/style.css",
  "/_runegate/static/style.000000000000.css",
  "/_runegate/static/../static/style.css",
  "/style.css",
  "",
])("%p is no asset", (path) => {
  expect(findAsset(path)).toBeUndefined();
});

test("style and script are small, and ask no other host for anything", () => {
  const texts = (["style.css", "app.js", "logo.svg"] as const).map((name) =>
    new TextDecoder().decode(findAsset(assetPath(name))?.body),
  );
  expect(texts.join("").length).toBeLessThan(20_000);
  const hosts = texts.join("").match(/https?:\/\/[^"]+|url\(|@import/g);
  // A namespace is a name, not an address.
  expect(hosts).toEqual(["http://www.w3.org/2000/svg"]);
});

describe("contrast (WCAG 2.2, 1.4.3 and 1.4.11)", () => {
  const style = new TextDecoder().decode(findAsset(assetPath("style.css"))?.body);
  const [light = "", dark = ""] = style.match(/:root \{[^}]*\}/g) ?? [];
  const pairs: [front: string, back: string, least: number][] = [
    ["text", "page", 4.5],
    ["text", "glow", 4.5],
    ["text", "card", 4.5],
    ["muted", "card", 4.5],
    ["muted", "field", 4.5],
    ["text", "field", 4.5],
    ["accent", "card", 4.5],
    ["accent-strong", "card", 4.5],
    ["on-accent", "accent", 4.5],
    ["on-accent", "accent-strong", 4.5],
    ["note-text", "note", 4.5],
    ["warning-text", "warning", 4.5],
    ["error-text", "error", 4.5],
    ["error-text", "card", 3],
    ["field-line", "card", 3],
    ["focus", "card", 3],
  ];
  test.each([
    ["light", colors(light)],
    ["dark", { ...colors(light), ...colors(dark) }],
  ] as const)("%s", (_scheme, palette) => {
    const failing = pairs.filter(
      ([front, back, least]) => !(contrast(palette[front], palette[back]) >= least),
    );
    expect(failing).toEqual([]);
  });
});

function colors(block: string): Record<string, string> {
  return Object.fromEntries(
    [...block.matchAll(/--([\w-]+): #(\w+);/g)].map(([, name = "", value = ""]) => [
      name,
      value.length === 3 ? value.replace(/./g, "$&$&") : value,
    ]),
  );
}

function contrast(a = "", b = ""): number {
  const [dark = Number.NaN, light = Number.NaN] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(hex: string): number {
  const [r = Number.NaN, g = Number.NaN, b = Number.NaN] = [0, 2, 4].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
