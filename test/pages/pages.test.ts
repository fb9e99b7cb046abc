import { describe, expect, test } from "bun:test";
import { startPage } from "../../src/account/pages.ts";
import { findAsset } from "../../src/pages/assets.ts";
import { PLAIN } from "../../src/pages/look.ts";
import {
  type CodePage,
  codePage,
  confirmPage,
  errorPage,
  goOnPage,
  linkPage,
  loggedOutPage,
  loginPage,
  logoutPage,
  mailboxPage,
} from "../../src/pages/pages.ts";

const EVIL = `"><script>alert('x')</script>&amp; onclick=x`;
const AT = Date.UTC(2026, 2, 14, 9, 26, 53);
const EMAIL = "ada@example.org";

const mails = [
  { to: EMAIL, subject: "Earlier", text: "plain <b>", at: AT - 1 },
  { to: EMAIL, subject: "Later", text: "x", at: AT, link: "/_runegate/auth?token=t", code: "K7QM-4XWP" },
];
const evilMail = { to: EVIL, subject: EVIL, text: EVIL, html: EVIL, at: AT, link: EVIL, code: EVIL };

const code = (changes: Partial<CodePage> = {}) =>
  codePage(PLAIN, {
    ...{ state: "waiting", email: EMAIL, next: "/a?b=1&c", now: AT, expiresAt: AT + 900_000 },
    ...{ triesLeft: 5, tries: 5, againAt: AT + 30_000, askAt: AT + 300_000, use: undefined },
    ...{
      sender: "Lab <login@example.org>",
      subject: "•••• •••• is your code",
      letters: false,
      mailbox: false,
    },
    ...changes,
  });
const refused = (changes: Partial<Parameters<typeof linkPage>[1]>) =>
  linkPage(PLAIN, {
    ...{ outcome: "expired", email: EMAIL, next: "/a?b=1&c", who: undefined, expiresAt: AT, use: undefined },
    ...{ now: AT + 60_000, requestId: "r1", ...changes },
  });

const PAGES: Record<string, string> = {
  login: loginPage(PLAIN, { next: "/a?b=1&c" }),
  "login, nothing filled in": loginPage(PLAIN, { next: "" }),
  "login, everything": loginPage(PLAIN, { next: EVIL, email: EVIL, error: EVIL, notice: EVIL }),
  code: code(),
  "code, tries left": code({ triesLeft: 3 }),
  "code, of letters, to the mailbox, not again": code({ letters: true, mailbox: true, againAt: undefined }),
  "code, used up": code({ state: "used_up", triesLeft: 0 }),
  "code, expired": code({ state: "expired", now: AT + 900_000 }),
  "code, used": code({ state: "used", use: { at: AT, device: "Firefox on Windows" } }),
  "code, used, nobody knows when": code({ state: "used", use: { at: undefined, device: "" } }),
  "code, everything": code({
    email: EVIL,
    next: EVIL,
    sender: EVIL,
    subject: EVIL,
    error: EVIL,
    notice: EVIL,
  }),
  "code, used, everything": code({ state: "used", email: EVIL, next: EVIL, use: { at: AT, device: EVIL } }),
  "link, used": refused({ outcome: "used", use: { at: AT, device: "Firefox on Windows" } }),
  "link, used by somebody else": refused({ outcome: "used", who: "eve@example.org" }),
  "link, expired": refused({ outcome: "expired" }),
  "link, not ours": refused({ outcome: "not_ours", email: undefined }),
  "link, withdrawn": refused({ outcome: "withdrawn", email: undefined }),
  "link, everything": refused({ email: EVIL, next: EVIL, who: EVIL, requestId: EVIL }),
  start: startPage(PLAIN, {
    email: EMAIL,
    applications: [{ href: "/", title: "Grafana", icon: "📈", host: "grafana.example.org" }],
  }),
  "start, nothing to use": startPage(PLAIN, { email: EMAIL, applications: [] }),
  "start, everything": startPage(PLAIN, {
    email: EVIL,
    applications: [{ href: EVIL, title: EVIL, icon: EVIL, host: EVIL }],
  }),
  "go on": goOnPage(PLAIN, { href: "https://grafana.example.org/a?b=1&c" }),
  "confirm, as somebody else": confirmPage(PLAIN, {
    ...{ email: EMAIL, token: "a.b.c", requestedAt: AT, from: "203.0.113.4" },
    ...{ who: EVIL, error: EVIL },
  }),
  confirm: confirmPage(PLAIN, { email: EMAIL, token: "a.b.c", requestedAt: AT, from: "203.0.113.4" }),
  "confirm, everything": confirmPage(PLAIN, {
    email: EVIL,
    token: EVIL,
    requestedAt: AT,
    from: EVIL,
    next: EVIL,
  }),
  logout: logoutPage(PLAIN, { email: EMAIL }),
  "logout, everything": logoutPage(PLAIN, { email: EVIL }),
  "logout, signed out": logoutPage(PLAIN, {}),
  "logged out": loggedOutPage(PLAIN),
  error: errorPage(PLAIN, { status: 404, title: "No answer", message: "Nothing.", requestId: "r1" }),
  "error, everything": errorPage(PLAIN, {
    status: 400,
    title: EVIL,
    message: EVIL,
    requestId: EVIL,
    action: { href: EVIL, label: EVIL },
    retrySeconds: 10,
  }),
  mailbox: mailboxPage(PLAIN, { mails }),
  "mailbox, empty": mailboxPage(PLAIN, { mails: [] }),
  "mailbox, everything": mailboxPage(PLAIN, { mails: [evilMail] }),
};

type Element = { readonly tag: string; readonly attributes: Readonly<Record<string, string>> };

/** The elements of a page, in order, as an HTML parser sees them. */
function elementsOf(html: string): Element[] {
  const elements: Element[] = [];
  const rewriter = new HTMLRewriter().on("*", {
    element: ({ tagName, attributes }) => {
      elements.push({
        tag: tagName,
        attributes: Object.fromEntries(attributes as Iterable<[string, string]>),
      });
    },
  });
  rewriter.transform(html);
  return elements;
}

function all(html: string, tag: string): Element["attributes"][] {
  return elementsOf(html)
    .filter((element) => element.tag === tag)
    .map(({ attributes }) => attributes);
}

/** A page's forms, with what each would send. */
function form(html: string): { method?: string; action?: string; fields: [string, string][] } | undefined {
  const [attributes] = all(html, "form");
  const fields = all(html, "input").map(({ name = "", value = "" }): [string, string] => [name, value]);
  return attributes && { method: attributes.method ?? "", action: attributes.action ?? "", fields };
}

describe.each(Object.entries(PAGES))("%s", (_name, html) => {
  const elements = elementsOf(html);
  const ids = elements.flatMap(({ attributes }) => attributes.id ?? []);

  test("is a whole document with one heading, a title and a language", () => {
    expect(html).toStartWith("<!doctype html>\n");
    expect(html).not.toContain("{{");
    expect(all(html, "html")).toEqual([{ lang: "en", dir: "ltr" }]);
    for (const tag of ["h1", "title", "main"])
      expect([tag, all(html, tag)]).toEqual([tag, [expect.anything()]]);
  });

  test("has nothing inline and nothing from elsewhere", () => {
    expect(all(html, "style")).toEqual([]);
    for (const { attributes } of elements) {
      expect(Object.keys(attributes).filter((name) => name === "style" || name.startsWith("on"))).toEqual([]);
    }
    expect(all(html, "script")).toHaveLength(1);
    const loaded = elements.flatMap(({ tag, attributes }) =>
      tag === "a" || attributes.src === undefined ? [] : attributes.src,
    );
    const linked = all(html, "link").map(({ href = "" }) => href);
    expect(linked).toHaveLength(4);
    for (const path of [...loaded, ...linked]) expect([path, findAsset(path)]).not.toContain(undefined);
  });

  test("keeps what came in inside its place", () => {
    expect(html).not.toContain("<script>");
    expect(html).not.toContain("&amp;");
  });

  test("labels every field and describes it by what is there", () => {
    const labelled = all(html, "label").map((label) => label.for);
    for (const input of all(html, "input").filter(({ type }) => type !== "hidden")) {
      expect(labelled).toContain(input.id);
      for (const id of (input["aria-describedby"] ?? "").split(" ")) expect(ids).toContain(id);
    }
    expect(new Set(ids).size).toBe(ids.length);
    for (const image of all(html, "img")) expect(image).toHaveProperty("alt");
  });
});

describe("forms", () => {
  const cases: [name: string, expected: ReturnType<typeof form>][] = [
    [
      "login",
      {
        method: "post",
        action: "/_runegate/login",
        fields: [
          ["email", ""],
          ["next", "/a?b=1&#38;c"],
        ],
      },
    ],
    ["login, nothing filled in", { method: "post", action: "/_runegate/login", fields: [["email", ""]] }],
    ["confirm", { method: "post", action: "/_runegate/auth", fields: [["token", "a.b.c"]] }],
    ["logout", { method: "post", action: "/_runegate/logout", fields: [] }],
    ["logout, signed out", undefined],
    ["logged out", undefined],
    ["error", undefined],
    ["mailbox", undefined],
  ];
  test.each(cases)("%s", (name, expected) => {
    const html = PAGES[name] ?? "";
    expect(form(html)).toEqual(expected);
    expect(all(html, "button")).toHaveLength(expected ? 1 : 0);
  });

  test("the page of a login has one for the code and one to have it sent again, where it may be", () => {
    const actions = (name: string) => all(PAGES[name] ?? "", "form").map(({ action = "" }) => action);
    expect(actions("code")).toEqual(["/_runegate/auth", "/_runegate/code"]);
    expect(actions("code, of letters, to the mailbox, not again")).toEqual(["/_runegate/auth"]);
  });

  test.each(["code, used up", "code, expired", "code, used", "link, used", "link, expired"])(
    "%s: one button has another link sent to the same address, for the same page",
    (name) => {
      expect(form(PAGES[name] ?? "")).toEqual({
        ...{ method: "post", action: "/_runegate/login" },
        fields: [
          ["email", EMAIL],
          ["next", "/a?b=1&#38;c"],
        ],
      });
    },
  );

  test("a keyboard or a password manager knows what goes where", () => {
    expect(all(PAGES.login ?? "", "input")[0]).toMatchObject({
      type: "email",
      autocomplete: "email",
      inputmode: "email",
      autofocus: "",
    });
    const field = { autocomplete: "one-time-code", spellcheck: "false", autofocus: "" };
    expect(all(PAGES.code ?? "", "input")[0]).toMatchObject({ ...field, inputmode: "numeric" });
    expect(all(PAGES["code, of letters, to the mailbox, not again"] ?? "", "input")[0]).toMatchObject({
      ...field,
      autocapitalize: "characters",
    });
    // What to confirm has the first focus.
    expect(all(PAGES.confirm ?? "", "button")).toEqual([{ type: "submit", autofocus: "" }]);
  });
});

describe("what is said", () => {
  test("an error is announced and belongs to its field", () => {
    for (const html of [
      loginPage(PLAIN, { next: "/", email: "x", error: "Not that." }),
      code({ error: "Not that." }),
    ]) {
      expect(html).toContain(`id="problem" role="alert">Not that.</p>`);
      expect(all(html, "input")[0]).toMatchObject({
        "aria-invalid": "true",
        "aria-describedby": "problem how",
      });
    }
    for (const html of [loginPage(PLAIN, { next: "/" }), code()]) {
      expect(html).not.toContain(`role="alert"`);
      expect(all(html, "input")[0]).not.toHaveProperty("aria-invalid");
    }
  });

  test("a notice is a status", () => {
    expect(loginPage(PLAIN, { next: "/", notice: "Sign in again." })).toContain(
      `role="status">Sign in again.</p>`,
    );
  });

  test("the page of a login names address, sender, subject, end and the way back", () => {
    const html = PAGES.code ?? "";
    for (const part of [
      `<strong>${EMAIL}</strong>`,
      "Lab &#60;login@example.org&#62;",
      "•••• •••• is your code",
    ]) {
      expect(html).toContain(part);
    }
    expect(html).toContain(`<time datetime="2026-03-14T09:41:53.000Z" data-short>9:41 AM UTC</time>`);
    expect(html).toContain("spam folder");
    expect(all(html, "a")).toEqual([{ href: "/_runegate/login?next=%2Fa%3Fb%3D1%26c" }]);
    expect(all(html, "h1")).toEqual([{ "data-login": "waiting", "data-seconds": "900" }]);
  });

  test.each([
    ["code, tries left", "That is not the code. 3 tries left."],
    ["code, used up", "This code is used up. The link in the mail still works."],
    ["code, used", "UTC</time> on Firefox on Windows. Each link works once."],
    ["code, used, nobody knows when", "Each link works once."],
    ["code, expired", ">Send another to ada@example.org</button>"],
    ["link, used", "on Firefox on Windows. Each link works once."],
    [
      "link, used by somebody else",
      "signed in as <strong>eve@example.org</strong>. The link was for <strong>ada",
    ],
    ["link, used by somebody else", ">Switch to ada@example.org</button>"],
    [
      "link, expired",
      `It expired at <time datetime="2026-03-14T09:26:53.000Z" data-short>9:26 AM UTC</time>`,
    ],
    ["link, not ours", "<h1>This is not a link of ours</h1>"],
    ["code, of letters, to the mailbox, not again", "You can ask for a new one from <time"],
  ])("%s: %s", (name, words) => expect(PAGES[name]).toContain(words));

  test("one try is one try", () => {
    expect(code({ triesLeft: 1 })).toContain("1 try left.");
  });

  test("the confirmation page says who, when and from where", () => {
    const html = PAGES.confirm ?? "";
    expect(html).toContain(`<strong>${EMAIL}</strong>`);
    expect(html).toContain(
      `<time datetime="2026-03-14T09:26:53.000Z">March 14, 2026 at 9:26:53 AM UTC</time>`,
    );
    expect(html).toContain("<dd><bdi>203.0.113.4</bdi></dd>");
    expect(html).toContain("close this page");
  });

  test("signing out differs for those who are not signed in", () => {
    expect(PAGES.logout).toContain(`<strong>${EMAIL}</strong>`);
    expect(PAGES["logout, signed out"]).toContain("<h1>You are not signed in</h1>");
    expect(all(PAGES["logged out"] ?? "", "a")).toMatchObject([{ href: "/_runegate/login" }]);
  });

  test("an error page says what happened, then the way on, and its numbers last", () => {
    const action = { href: "/_runegate/login", label: "Ask for a new link" };
    const html = errorPage(PLAIN, { status: 401, title: "No", message: "Invalid.", requestId: "r1", action });
    const order = [
      "<h1>No</h1>",
      "Invalid.",
      `href="/_runegate/login">Ask for a new link</a>`,
      "error 401",
      "r1",
    ];
    const places = order.map((part) => html.indexOf(part));
    expect(places).not.toContain(-1);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(all(PAGES.error ?? "", "a")).toEqual([]);
    expect(html).not.toContain("by itself");
  });

  test("an error page that will pass leads to itself", () => {
    const action = { href: "", label: "Try again" };
    const html = errorPage(PLAIN, {
      status: 502,
      title: "No",
      message: "Wait.",
      requestId: "r1",
      action,
      retrySeconds: 10,
    });
    expect(all(html, "a")).toEqual([{ class: "button", href: "" }]);
    expect(html).toContain("by itself every 10 seconds");
  });

  test("the mailbox shows the newest mail first, its link, its code and its text", () => {
    const html = PAGES.mailbox ?? "";
    expect(html.indexOf("Later")).toBeLessThan(html.indexOf("Earlier"));
    expect(html).toContain("Development only.");
    expect(html).toContain(`href="/_runegate/auth?token=t"`);
    expect(html).toContain(`<p class="code">K7QM-4XWP</p>`);
    expect(html).toContain("<pre>plain &#60;b&#62;</pre>");
    expect(PAGES["mailbox, empty"]).toContain("No mail yet.");
  });

  test("a mail's HTML is in a frame without script, forms and an origin, and its link leads out of it", () => {
    const html = mailboxPage(PLAIN, {
      mails: [{ to: EMAIL, subject: "S", text: "T", html: "<b>H</b>", at: AT }],
    });
    expect(all(html, "iframe")).toEqual([
      {
        title: expect.stringContaining(EMAIL),
        sandbox: "allow-top-navigation-by-user-activation",
        loading: "lazy",
        srcdoc: expect.stringContaining("<b>H</b>".replace(/[<>]/g, (char) => `&#${char.charCodeAt(0)};`)),
      },
    ]);
    expect(all(html, "iframe")[0]?.srcdoc).toContain("&#60;base target=&#34;_top&#34;&#62;");
    expect(html).toMatch(/<details>\s*<summary>Plain text<\/summary>\s*<pre>T<\/pre>/);
  });

  test("the mailbox can be told not to load itself again, and to do so again", () => {
    const links = (still: boolean) => all(mailboxPage(PLAIN, { mails, still }), "a").map(({ href }) => href);
    expect(links(false)).toContain("/_runegate/mailbox?still");
    expect(links(true)).toContain("/_runegate/mailbox");
  });

  test("the page of a login leads to the mailbox where there is one", () => {
    expect(all(PAGES["code, of letters, to the mailbox, not again"] ?? "", "a")[0]).toEqual({
      href: "/_runegate/mailbox",
      target: "_blank",
    });
    expect(PAGES.code).not.toContain("mailbox");
  });

  test("no title tells an address, a token or a code", () => {
    const titles = Object.entries(PAGES).flatMap(([name, html]) =>
      name === "error, everything" ? [] : (/<title>(.*)<\/title>/.exec(html)?.[1] ?? ""),
    );
    expect([...new Set(titles)].toSorted()).toEqual([
      "Applications · Runegate",
      "Check your mail · Runegate",
      "Confirm sign-in · Runegate",
      "Mailbox · Runegate",
      "No answer · Runegate",
      "Sign in · Runegate",
      "Sign out · Runegate",
      "Signed in · Runegate",
      "Signed out · Runegate",
      "That link does not work · Runegate",
      "This is not a link of ours · Runegate",
      "This link has been used · Runegate",
      "This link has expired · Runegate",
    ]);
  });
});
