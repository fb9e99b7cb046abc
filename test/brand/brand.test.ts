import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brandDirectory } from "../../src/brand/options.ts";
import { ValueError } from "../../src/option/value-error.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";

const LOGO = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>';

let place: string;
let directory: string;
let gateway: TestGateway;
beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), "runegate-brand-"));
  directory = join(place, "brand");
  mkdirSync(directory);
  writeFileSync(join(place, "secret"), "secret");
  writeFileSync(join(directory, "logo.svg"), LOGO);
  writeFileSync(join(directory, "style.css"), "body { color: teal }");
  writeFileSync(join(directory, ".env"), "secret");
  writeFileSync(join(directory, "script.js"), "alert(1)");
  writeFileSync(join(directory, "footer.html"), "<script>alert(1)</script>");
  symlinkSync(join(place, "secret"), join(directory, "logo.png"));
  gateway = await startGateway({ env: { RUNEGATE_BRAND: directory } });
});
afterAll(async () => {
  await gateway.stop();
  rmSync(place, { recursive: true });
});

const get = (name: string, headers: Record<string, string> = {}) =>
  fetch(`${gateway.url}/_runegate/brand/${name}`, { headers });

describe("the brand directory", () => {
  test.each([
    ["logo.svg", "image/svg+xml", LOGO],
    ["style.css", "text/css;charset=utf-8", "body { color: teal }"],
  ])("serves %s to everybody, as what it is, and lets it run nothing", async (name, type, text) => {
    const response = await get(name);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe(type);
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(response.headers.get("content-security-policy")).toBe(
      "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    );
    expect(await response.text()).toBe(text);
    const etag = response.headers.get("etag") ?? "none";
    expect((await get(name, { "If-None-Match": etag })).status).toBe(304);
    expect((await fetch(response.url, { method: "HEAD" })).status).toBe(200);
    expect((await fetch(response.url, { method: "POST" })).status).toBe(405);
  });

  test.each([
    ["a link that leads outside", "logo.png"],
    ["a dotfile", ".env"],
    ["a script", "script.js"],
    ["a page", "footer.html"],
    ["the directory itself", ""],
    ["its parent", "..%2fsecret"],
    ["its parent, in plain", "../secret"],
    ["another case", "LOGO.SVG"],
    ["an encoded name", "logo%2esvg"],
    ["what is not there", "accent"],
  ])("does not serve %s", async (_, name) => {
    const response = await get(name);
    expect(response.status).toBe(404);
    expect(await response.text()).not.toContain("secret");
  });

  test("leaves the pages' policy as it was, and is not there unless it is configured", async () => {
    const plain = await startGateway();
    const policyOf = async ({ url }: TestGateway) =>
      (await fetch(`${url}/_runegate/login`, { headers: { Accept: "text/html" } })).headers.get(
        "content-security-policy",
      );
    expect(await policyOf(gateway)).toBe(await policyOf(plain));
    expect((await fetch(`${plain.url}/_runegate/brand/logo.svg`)).status).toBe(404);
    await plain.stop();
  });

  test("is a directory of files alone", () => {
    expect(brandDirectory(directory)).toBe(directory);
    for (const wrong of [place, join(place, "secret"), join(place, "nothing"), ""]) {
      expect(() => brandDirectory(wrong)).toThrow(ValueError);
    }
  });
});
