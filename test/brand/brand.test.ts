import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAccent } from "../../src/brand/color.ts";
import { appName, brandDirectory } from "../../src/brand/options.ts";
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
  writeFileSync(join(directory, "accent"), "#c2185b\n");
  writeFileSync(join(directory, "contact"), "help@example.org\n");
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
    ["what is a line of text", "accent"],
    ["what is there for a page to say", "contact"],
    ["what is not there", "logo.gif"],
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

  test("says what is wrong with an accent that is no color", () => {
    const odd = mkdtempSync(join(tmpdir(), "runegate-brand-"));
    writeFileSync(join(odd, "accent"), "red; } body { display: none");
    expect(() => brandDirectory(odd)).toThrow("is no color");
    rmSync(odd, { recursive: true });
  });
});

const NAVIGATION = { Accept: "text/html", "Sec-Fetch-Mode": "navigate" };
const pageAt = async (at: TestGateway, path: string, headers = {}) =>
  (await fetch(at.url + path, { redirect: "manual", headers: { ...NAVIGATION, ...headers } })).text();

describe("a page is the operator's", () => {
  test("by its logo, its style sheets after ours, and whom to ask", async () => {
    const html = await pageAt(gateway, "/_runegate/login");
    expect(html).toContain('<img src="/_runegate/brand/logo.svg"');
    expect([...html.matchAll(/<link rel="stylesheet" href="([^"]+)">/g)].map(([, href]) => href)).toEqual([
      expect.stringContaining("/_runegate/static/style."),
      "/_runegate/brand/accent.css",
      "/_runegate/brand/style.css",
    ]);
    expect(html).toContain('Need access? <a href="mailto:help@example.org">help@example.org</a>');
    expect(html).toContain("<p>Runegate</p></footer>");
  });

  test("in its color, which is readable in light and in dark, and in mails too", async () => {
    const sheet = await get("accent.css");
    expect(sheet.headers.get("content-type")).toBe("text/css; charset=utf-8");
    const text = await sheet.text();
    expect(text).toContain("--accent: #c2185b;");
    expect(text).toContain("@media (prefers-color-scheme: dark) { :root { --accent: #d76994;");
    expect((await get("accent.css", { "If-None-Match": sheet.headers.get("etag") ?? "" })).status).toBe(304);
    await gateway.signIn();
    expect(gateway.mailbox.mails()[0]?.html).toContain("background-color:#c2185b");
  });

  test.each([
    ["#0e5f63", "#0e5f63"],
    ["#fff", "#666666"],
    ["#FFEB3B", "#736a1b"],
    ["#000000", "#000000"],
  ])("%s stands out from white as %s", (written, light) => {
    expect(parseAccent(written)?.light.accent).toBe(light);
  });

  test.each(["red", "#12345", "#1234567", "rgb(1,2,3)", "#12345g", ""])("%p is no color", (written) => {
    expect(parseAccent(written)).toBeUndefined();
  });
});

describe("what people sign in to", () => {
  const env = { RUNEGATE_APP_NAME: "Lab", RUNEGATE_BASE_URL: "https://lab.example.org" };

  test("has a name on every page and in every mail, with the host under it", async () => {
    const lab = await startGateway({ env });
    try {
      const login = await pageAt(lab, "/_runegate/login");
      expect(login).toContain("Sign in to <strong>Lab</strong> <small>lab.example.org</small>");
      expect(login).toContain("<title>Sign in · Lab</title>");
      expect(await pageAt(lab, "/_runegate/nothing")).toContain(
        "<strong>Lab</strong> <small>lab.example.org</small>",
      );
      await lab.signIn();
      const [mail] = lab.mailbox.mails();
      expect(mail?.subject).toMatch(/^\d{4} \d{4} is your code for Lab$/);
      expect(mail?.text).toStartWith("Sign in to Lab\nlab.example.org\n");
    } finally {
      await lab.stop();
    }
  });

  test("is the host where nothing else is said, once", async () => {
    const plain = await startGateway();
    const { host } = new URL(plain.url);
    const html = await pageAt(plain, "/_runegate/login");
    expect(html).toContain(`<p>Sign in to <strong>${host}</strong></p></header>`);
    await plain.stop();
  });

  test("is of several applications the one that is wanted, by its title and its icon", async () => {
    const several = await startGateway({
      env: { RUNEGATE_BASE_URL: "https://home.example.org", RUNEGATE_APP_NAME: "Example" },
      routes: `
        [[routes]]
        name = "grafana"
        title = "The <graphs>"
        icon = "📈"
        host = "grafana.example.org"
        target = "http://127.0.0.1:1"
        [[routes]]
        name = "lab"
        host = "home.example.org"
        path = "/lab"
        target = "http://127.0.0.1:1"
      `,
    });
    try {
      const at = (path: string) => pageAt(several, path, { Host: "home.example.org" });
      const wanted = encodeURIComponent("https://grafana.example.org/d?x=1");
      const html = await at(`/_runegate/login?next=${wanted}`);
      expect(html).toContain('<span class="icon" aria-hidden="true">📈</span>');
      expect(html).toContain(
        "Sign in to <strong>The &#60;graphs&#62;</strong> <small>grafana.example.org</small>",
      );
      expect(await at("/_runegate/login?next=/lab")).toContain(
        "<strong>lab</strong> <small>home.example.org</small>",
      );
      expect(await at("/_runegate/login")).toContain(
        "<strong>Example</strong> <small>home.example.org</small>",
      );
    } finally {
      await several.stop();
    }
  });

  test.each(["a".repeat(61), "two\nlines", "**bold**", "{code}"])("has no name such as %p", (name) => {
    expect(() => appName(name)).toThrow(ValueError);
  });
});
