import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { findAsset } from "../../src/pages/assets.ts";
import { LANGUAGES, loadLanguage } from "../../src/pages/languages.ts";
import { type Look, PLAIN } from "../../src/pages/look.ts";
import { mailsIn, pagesIn } from "../pages/samples.ts";
import { axeViolations } from "../support/axe.ts";
import { chromium, openTab, type Tab } from "./tab.ts";

/**
 * Every page and mail in every language, in a browser: on a phone of 360 px, at 320 px, which is a desk of 1280 px at 400 %, and on a
 * desk; in light and in dark. Nothing sticks out, and axe finds nothing wrong. It leaves a few pictures in `screenshots/`.
 */

setDefaultTimeout(240_000);

/**
 * For axe, which takes its time: what is written in Latin letters, with long words, and from right to left. Colors are the same in
 * all of them.
 */
const LOOKED_AT = [
  ["en", "light"],
  ["en", "dark"],
  ["de", "light"],
  ["ar", "light"],
] as const;
const PICTURES: Readonly<Record<string, readonly string[]>> = {
  ar: ["login", "code", "account", "keys"],
  de: ["code", "account"],
  ja: ["code", "confirm"],
};

const NARROW = [360, 320];

describe.skipIf(chromium === undefined)("every page", () => {
  const shown = new Map<string, string>();
  let server: ReturnType<typeof serve>;
  let tab: Tab;

  beforeAll(async () => {
    server = serve(shown);
    tab = await openTab();
    for (const listed of LANGUAGES) {
      const language = await loadLanguage(listed);
      const look: Look = { ...PLAIN, language, host: "grafana.example.org", app: "Grafana", back: "/a?b=1" };
      for (const [name, html] of Object.entries({ ...pagesIn(look), ...mailsIn(look) })) {
        shown.set(pathOf(listed.tag, name), html);
      }
    }
  });
  afterAll(async () => {
    await tab?.close();
    await server?.stop(true);
  });

  const names = Object.keys({ ...pagesIn(PLAIN), ...mailsIn(PLAIN) });
  const open = (tag: string, name: string) => tab.open(`http://127.0.0.1:${server.port}${pathOf(tag, name)}`);

  test.each(LANGUAGES.map(({ tag }) => tag))("in %s, fits", async (tag) => {
    const [pages, mails] = [names.filter((name) => !isMail(name)), names.filter(isMail)];
    const found: unknown[] = [];
    for (const alike of [pages, ...mails.map((name) => [name])]) {
      await open(tag, alike[0] ?? "");
      for (const width of NARROW) {
        await tab.appear({ width });
        const out = await tab.evaluate(stickingOut(alike.map((name) => pathOf(tag, name))));
        if ((out as unknown[]).length > 0) found.push({ width, out });
      }
    }
    expect(found).toEqual([]);
  });

  test.each(Object.entries(PICTURES))("in %s, leaves pictures", async (tag, pictured) => {
    if (!LANGUAGES.some((one) => one.tag === tag)) return;
    await tab.appear({ width: 360 });
    for (const name of pictured) {
      await open(tag, name);
      await tab.screenshot(`language-${tag}-${name}`);
    }
  });

  test.each(LOOKED_AT.filter(([tag]) => LANGUAGES.some((one) => one.tag === tag)))(
    "in %s and %s, is good for everybody",
    async (tag, scheme) => {
      const found: unknown[] = [];
      await tab.appear({ scheme, width: 360 });
      for (const name of names) {
        await open(tag, name);
        await tab.evaluate(OPEN_ALL);
        const all = await axeViolations(tab);
        const violations = isMail(name) ? all.filter((one) => !OF_PAGES.test(one)) : all;
        if (violations.length > 0) found.push({ name, violations });
      }
      expect(found).toEqual([]);
    },
  );
});

/** What is folded away is looked at too. */
const OPEN_ALL = `document.querySelectorAll("details").forEach((one) => { one.open = true; })`;

/**
 * An expression for what is drawn beyond either side of the window on any of these pages: to the left of it nothing can be scrolled
 * to. One after another takes the place of what is open, whose style sheet they share; with all that is folded or hidden.
 */
function stickingOut(paths: readonly string[]): string {
  return `(async () => {
    const found = [];
    for (const path of ${JSON.stringify(paths)}) {
      const page = new DOMParser().parseFromString(await (await fetch(path)).text(), "text/html");
      document.documentElement.lang = page.documentElement.lang;
      document.documentElement.dir = page.documentElement.dir;
      page.body.prepend(...page.head.querySelectorAll("style"));
      document.body.replaceWith(document.adoptNode(page.body));
      document.querySelectorAll("[hidden]").forEach((one) => { one.hidden = false; });
      ${OPEN_ALL};
      if (document.documentElement.scrollWidth > innerWidth) found.push(path);
      for (const one of document.querySelectorAll("body *")) {
        const { left, right, width } = one.getBoundingClientRect();
        const isOut = width > 0 && (left < -0.5 || right > innerWidth + 0.5);
        if (isOut) found.push(path + ": " + one.tagName + " " + one.textContent.slice(0, 60));
      }
    }
    return found;
  })()`;
}

/** Who reads a mail has it in a page of another program, whose landmarks are its own. */
const OF_PAGES = /^(?:landmark-one-main|region):/;

const isMail = (name: string) => name.startsWith("mail:");
const pathOf = (tag: string, name: string) => `/${tag}/${encodeURIComponent(name)}`;

function serve(shown: ReadonlyMap<string, string>) {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname } = new URL(request.url);
      const asset = findAsset(pathname);
      if (asset) return new Response(asset.body, { headers: { "Content-Type": asset.type } });
      if (pathname === "/_runegate/code") return Response.json({ state: "waiting" });
      const html = shown.get(pathname);
      if (html === undefined) return new Response(null, { status: 404 });
      // Without a policy, which forbids the styles that mails have within.
      return new Response(html, { headers: { "Content-Type": "text/html; charset=utf-8" } });
    },
  });
}
