import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium, type Tab } from "./tab.ts";

/** Signing in through the real pages, with and without script (CONTRACT section 2). */

const MINUTE = 60_000;
/** With characters that must survive two rounds of encoding. What is there names who is asking. */
const WANTED = "/whoami?tide=high%20%26%20low&mark=%C3%A9";
const USED = "This link has been used";

let stage: Stage;

setDefaultTimeout(TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("a browser", () => {
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage.stop());
  afterEach(async () => expect(await stage.clear()).toEqual([]));

  describe.each([
    ["with script", true],
    ["without script", false],
  ])("%s", (_, script) => {
    /** A new address for every login, so that no test meets the mail of another. */
    const someone = (name: string) => `${name}.${script ? "js" : "plain"}@example.org`;

    test("goes from the login page by mail to the page first asked for", async () => {
      const email = someone("ada");
      const wanted = WANTED.replace("/whoami", "/");
      const tab = await stage.tab({ script });
      await tab.open(stage.gateway.url + wanted);
      expect(await tab.where()).toBe(`/_runegate/login?next=${encodeURIComponent(wanted)}`);
      expect(await tab.heading()).toBe("Sign in");

      const { link } = await stage.askFor(tab, email);
      expect(await tab.heading()).toBe("Check your mail");
      expect(await tab.text()).toContain(email);

      await stage.openFromMail(tab, link);
      expect(await tab.where()).toBe(wanted);
      expect(await tab.heading()).toBe(`Hello ${email}`);
    });

    test("asks again for an address that is none, keeping it and where to go", async () => {
      const tab = await stage.tab({ script });
      await tab.open(stage.gateway.url + WANTED);
      await tab.click("#email");
      await tab.type("ada..lovelace@example.org");
      await tab.follow("button");
      expect(await tab.heading()).toBe("Sign in");
      expect(await tab.evaluate("document.querySelector('[role=alert]').innerText")).toBe(
        "The part before the @ has a character that is not allowed.",
      );
      expect(await tab.evaluate("document.querySelector('#email').value")).toBe("ada..lovelace@example.org");
      await tab.evaluate("document.querySelector('#email').select()");
      const email = someone("lovelace");
      await tab.type(email);
      await tab.follow("button");
      await stage.gateway.gateway.outbox.runDue();
      const [mail] = stage.gateway.mailbox.mails();
      expect(mail?.to).toBe(email);
      await tab.open(mail?.link ?? "");
      expect(await tab.where()).toBe(WANTED);
    });

    test("that did not ask for the link is asked to confirm, and is the one signed in", async () => {
      const email = someone("grace");
      const first = await stage.tab({ script });
      await first.open(stage.gateway.url + WANTED);
      const { link } = await stage.askFor(first, email);
      const askedAt = new Date(stage.clock.now());

      const second = await stage.otherBrowser({ script });
      await stage.openFromMail(second, link);
      expect(await second.heading()).toBe("Confirm sign-in");
      expect(await second.text()).toContain(email);
      expect(await second.text()).toContain("127.0.0.1, Chrome on Linux");
      expect(await second.evaluate("document.querySelector('time').dateTime")).toBe(askedAt.toISOString());
      // In this person's own time, which only a script can know.
      expect(await second.text()).toContain(script ? "January 2, 2026 at 4:" : "January 2, 2026 at 3:");
      expect(await stage.signedIn()).not.toContain(email);

      await second.follow("button");
      expect(await second.where()).toBe(WANTED);
      expect(await second.text()).toContain(`"user":"${email}"`);
      expect(await stage.signedIn()).toContain(email);
      await first.open(stage.gateway.url + WANTED);
      expect(await first.heading()).toBe("Sign in");
    });

    test.each([
      ["as shown", (code: string) => code],
      ["without the blank", (code: string) => code.replace(" ", "")],
    ])("that asked takes the code, %s, of a mail read elsewhere", async (how, typed) => {
      const email = someone(`code.${how.replaceAll(" ", ".")}`);
      const first = await stage.tab({ script });
      await first.open(stage.gateway.url + WANTED);
      const { link, code } = await stage.askFor(first, email);
      const elsewhere = how === "as shown" ? await stage.otherBrowser({ script }) : undefined;
      if (elsewhere !== undefined) {
        await elsewhere.open(link);
        expect(await elsewhere.heading()).toBe("Confirm sign-in");
      }

      await enterCode(first, typed(code), script);
      expect(await first.where()).toBe(WANTED);
      expect(await first.text()).toContain(`"user":"${email}"`);

      // Link and code are one grant: the page that is still open elsewhere is worth nothing now.
      if (elsewhere === undefined) return;
      await elsewhere.follow("button");
      expect(await elsewhere.heading()).toBe(USED);
      await elsewhere.open(stage.gateway.url + WANTED);
      expect(await elsewhere.heading()).toBe("Sign in");
    });

    describe("is not signed in by a link", () => {
      test("that was used", async () => {
        const email = someone("twice");
        const first = await stage.tab({ script });
        await first.open(stage.gateway.url + WANTED);
        const { link } = await stage.askFor(first, email);
        await first.open(link);
        expect(await first.text()).toContain(`"user":"${email}"`);

        // Whoever clicks twice is where they wanted to be.
        await first.open(link);
        expect(await first.where()).toBe(WANTED);
        const second = await stage.otherBrowser({ script });
        await second.open(link);
        expect(await second.heading()).toBe(USED);
        expect(await second.text()).toContain("on Chrome on Linux. Each link works once.");
        expect((await stage.signedIn()).filter((address) => address === email)).toHaveLength(1);
      });

      test("that has expired, and sends another by one button, to where the first led", async () => {
        const email = someone("late");
        const tab = await stage.tab({ script });
        await tab.open(stage.gateway.url + WANTED);
        const { link, code } = await stage.askFor(tab, email);
        stage.clock.advance(15 * MINUTE);
        const waiting = await stage.tab({ script, sameBrowser: true });
        await waiting.open(link);
        expect(await waiting.heading()).toBe("This link has expired");
        // The page that was open changes to this by itself, where it can.
        if (script) await tab.until("document.querySelector('h1').innerText === 'This link has expired'");
        else {
          await tab.click("#code");
          await tab.type(code);
          await tab.follow("button");
          expect(await tab.heading()).toBe("This link has expired");
        }

        await tab.follow("button");
        expect(await tab.heading()).toBe("Check your mail");
        await stage.gateway.gateway.outbox.runDue();
        const again = stage.gateway.mailbox.mails().find(({ to }) => to === email);
        await tab.open(again?.link ?? "");
        expect(await tab.where()).toBe(WANTED);
      });

      test("that was changed, which leaves the real one as good as it was", async () => {
        const email = someone("tampered");
        const tab = await stage.tab({ script });
        await tab.open(stage.gateway.url + WANTED);
        const { link } = await stage.askFor(tab, email);
        const otherClaims = link.replace(/(token=[^.]+\.\w{10})./, "$1_");
        const otherSignature = link.slice(0, -4) + (link.endsWith("AAAA") ? "BBBB" : "AAAA");
        for (const changed of [otherClaims, otherSignature, link.slice(0, -20)]) {
          expect(changed).not.toBe(link);
          await tab.open(changed);
          expect(await tab.heading()).toBe("This is not a link of ours");
        }
        expect(await stage.signedIn()).not.toContain(email);
        await tab.open(link);
        expect(await tab.text()).toContain(`"user":"${email}"`);
      });
    });

    test("that typed five wrong codes is refused the right one, but not the link", async () => {
      const email = someone("guess");
      const tab = await stage.tab({ script });
      await tab.open(stage.gateway.url + WANTED);
      const { link, code } = await stage.askFor(tab, email);
      const wrong = (code.startsWith("2") ? "3" : "2") + code.slice(1);
      for (const left of ["4 tries", "3 tries", "2 tries", "1 try"]) {
        await enterCode(tab, wrong, script);
        expect(await tab.where()).toBe("/_runegate/code");
        expect(await tab.evaluate("document.querySelector('[role=alert]').innerText")).toBe(
          `That is not the code. ${left} left.`,
        );
      }
      await enterCode(tab, wrong, script);
      expect(await tab.text()).toContain("This code is used up. The link in the mail still works.");
      expect(await stage.signedIn()).not.toContain(email);
      await tab.open(link);
      expect(await tab.where()).toBe(WANTED);
    });

    test("finds the page of its login again: by reload, Back, a second tab, and after it was thrown away (S1)", async () => {
      const email = someone("again");
      const tab = await stage.tab({ script });
      await tab.open(stage.gateway.url + WANTED);
      await stage.askFor(tab, email);
      const isThere = async (one: Tab) => {
        expect([await one.where(), await one.heading()]).toEqual(["/_runegate/code", "Check your mail"]);
        expect(await one.text()).toContain(email);
      };
      await isThere(tab);
      await tab.reload();
      await isThere(tab);
      await tab.follow(".aside p a");
      expect(await tab.heading()).toBe("Sign in");
      await tab.back();
      await isThere(tab);
      const second = await stage.tab({ script, sameBrowser: true });
      await second.open(`${stage.gateway.url}/_runegate/code`);
      await isThere(second);
      await second.open(`${stage.gateway.url}/_runegate/login`);
      await second.follow("a.button");
      await isThere(second);
    });

    test("has its mail sent again, with another code", async () => {
      const email = someone("resent");
      const tab = await stage.tab({ script });
      await tab.open(stage.gateway.url + WANTED);
      const { code } = await stage.askFor(tab, email);
      stage.clock.advance(30_000);
      await tab.reload();
      await tab.follow("button.quiet");
      expect(await tab.text()).toContain("Sent again.");
      await stage.gateway.gateway.outbox.runDue();
      const mail = stage.gateway.mailbox.mails().find(({ to }) => to === email);
      expect(mail?.code).not.toBe(code);
      await enterCode(tab, mail?.code ?? "", script);
      expect(await tab.where()).toBe(WANTED);
    });

    test("that is signed in goes straight from the login page to where it leads", async () => {
      const tab = await stage.tab({ script });
      await stage.signIn(tab, someone("already"));
      await tab.open(`${stage.gateway.url}/_runegate/login?next=${encodeURIComponent(WANTED)}`);
      expect(await tab.where()).toBe(WANTED);
      await tab.open(
        `${stage.gateway.url}/_runegate/login?next=${encodeURIComponent("//elsewhere.example/")}`,
      );
      expect(await tab.where()).toBe("/");
    });

    test("can be used with the keyboard alone", async () => {
      const email = someone("keys");
      const tab = await stage.tab({ script });
      const focused = () => tab.evaluate("document.activeElement.id || document.activeElement.innerText");
      // A page's first focus comes with its first rendering, a little after it is complete.
      const focusComes = (id: string) => tab.until(`document.activeElement.id === "${id}"`);
      const ring = () => tab.evaluate("getComputedStyle(document.activeElement).outlineStyle");

      await tab.open(stage.gateway.url + WANTED);
      await focusComes("email");
      await tab.type(email);
      await tab.press("Tab");
      expect(await focused()).toBe("Send me a link");
      expect(await ring()).toBe("solid");
      await tab.pressThrough("Enter");
      await stage.gateway.gateway.outbox.runDue();
      const mail = stage.gateway.mailbox.mails().find(({ to }) => to === email);

      await focusComes("code");
      expect(await ring()).toBe("solid");
      const code = mail?.code ?? "";
      await tab.type(code.slice(0, -1));
      // With script, the last digit is enough.
      if (script) await tab.pressThrough(code.slice(-1));
      else {
        await tab.type(code.slice(-1));
        await tab.press("Tab");
        expect(await focused()).toBe("Sign in");
        await tab.pressThrough("Enter");
      }
      expect(await tab.where()).toBe(WANTED);

      await tab.open(`${stage.gateway.url}/_runegate/logout`);
      await tab.press("Tab");
      expect(await focused()).toBe("Sign out");
      await tab.pressThrough("Enter");
      expect(await tab.heading()).toBe("You are signed out");
      await tab.press("Tab");
      expect(await focused()).toBe("Sign in again");
      await tab.pressThrough("Enter");
      // Enter in the field itself sends the form too.
      await focusComes("email");
      // Without script, the address of the last sign-in is not selected for typing over.
      await tab.evaluate("document.activeElement.select()");
      await tab.type(someone("enter"));
      await tab.pressThrough("Enter");
      expect(await tab.heading()).toBe("Check your mail");
    });
  });

  describe("with script, as a comfort,", () => {
    test("goes on by itself where the mail was asked for once the link is opened in another tab", async () => {
      const email = "waiting@example.org";
      const waiting = await stage.tab();
      await waiting.open(stage.gateway.url + WANTED);
      const { link } = await stage.askFor(waiting, email);
      const clicked = await stage.tab({ sameBrowser: true });
      await clicked.open(link);
      expect(await clicked.where()).toBe(WANTED);
      await waiting.until(`location.pathname + location.search === ${JSON.stringify(WANTED)}`);
      await waiting.until(`document.body.innerText.includes("${email}")`);
    });

    test("puts the blank into the code as it is typed", async () => {
      const tab = await stage.tab();
      await tab.open(stage.gateway.url + WANTED);
      await stage.askFor(tab, "blank@example.org");
      await tab.click("#code");
      const shown: unknown[] = [];
      for (const character of "12 345") {
        await tab.type(character);
        shown.push(await tab.evaluate("document.querySelector('#code').value"));
      }
      expect(shown).toEqual(["1", "12", "12", "123", "1234", "1234 5"]);
    });
  });
});

/** With script, the last digit sends the form. */
async function enterCode(tab: Tab, code: string, script: boolean): Promise<void> {
  await tab.click("#code");
  if (!script) {
    await tab.type(code);
    return tab.follow("button");
  }
  const before = await tab.evaluate("performance.timeOrigin");
  await tab.type(code);
  await tab.until(`performance.timeOrigin !== ${before} && document.readyState === "complete"`);
}
