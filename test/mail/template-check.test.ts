import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseAddress } from "../../src/identity/address.ts";
import { renderLoginMail } from "../../src/mail/message.ts";
import { checkTemplate } from "../../src/mail/template-check.ts";
import { PLAIN } from "../../src/pages/look.ts";

const { html: BUILT_IN } = renderLoginMail(PLAIN, undefined, {
  to: parseAddress("ann@example.org"),
  ...{ loginUrl: "{login_url}", code: "{code}", expiryMinutes: 15 },
  ...{ fromIp: "{from_ip}", device: "{device}" },
});
const LINK = '<a href="{login_url}">in</a>';
const told = (written: string, kind: "text" | "html" = "html") =>
  checkTemplate(written, kind).map(({ line, problem }) => `${line} ${problem}`);

describe("HTML of a mail", () => {
  test.each<[string, string]>([
    ["the built-in one", BUILT_IN],
    ["a link alone", LINK],
    [
      "paragraphs, rows and items that are left open",
      `<table><tr><td><p>a<p>b<tr><td>${LINK}</table><ul><li>x<li>y</ul>`,
    ],
    ["elements without content", `<br><img alt="a > b"><hr/>${LINK}<input disabled>`],
    ["a style sheet", `<style>a > b {color:red} /* <p */</style>${LINK}`],
    ["capitals and blanks", `<TABLE ><TR ><TD\n>${LINK}</TD ></TR></TABLE >`],
    ["a comment", `<!-- <b> --><!---->${LINK}`],
    ["what only looks like a tag", `1 < 2 <3 ${LINK} a<`],
    ["a doctype", `<!DOCTYPE html>\n<html><body>${LINK}`],
    ["quotes within quotes", `<p title='"'>${LINK}</p><p title="'">`],
  ])("%s is fine", (_, written) => expect(told(written)).toEqual([]));

  test.each<[string, string, string[]]>([
    ["no link", "<p>{code}</p>", ["1 does not contain {login_url}, so nobody could sign in"]],
    [
      "a link in a comment alone",
      `<!-- ${LINK} -->`,
      ["1 does not contain {login_url}, so nobody could sign in"],
    ],
    ["an element left open", `<div>\n<b>\n${LINK}\n</div>`, ["4 closes </div> before the <b> inside it"]],
    ["one at the end", `${LINK}\n<strong>{code}`, ["2 opens <strong>, which is never closed"]],
    ["an end without a beginning", `${LINK}\n\n</i>`, ["3 closes </i>, which is not open"]],
    ["a tag without an end", `${LINK}\n<p class="x`, ["2 begins <p and does not end it"]],
    ["a tag within a tag", `${LINK}<p\n<b>x</b>`, ["1 begins <p and does not end it"]],
    ["a comment without an end", `${LINK}\n<!-- x`, ["2 begins a comment that never ends"]],
    ["a style sheet without an end", `${LINK}\n<style>a{}`, ["2 opens <style>, which is never closed"]],
    [
      "the link without quotes",
      "<a href={login_url}>in</a>",
      ["1 has {login_url} in an attribute without quotes"],
    ],
    [
      "a placeholder that is none",
      `${LINK}\n{token} {token} {x}`,
      ["2 contains {token}, {x}, which stands for nothing"],
    ],
    ["NUL", `a\n${LINK}\0`, ["2 contains a control character"]],
  ])("%s is told, with its line", (_, written, expected) => expect(told(written)).toEqual(expected));

  test("anything is read, and the text kind has no tags", () => {
    expect(told("<b {login_url}", "text")).toEqual([]);
    const piece = fc.constantFrom(
      "<",
      ">",
      '"',
      "'",
      "/",
      "a",
      "td",
      "<!--",
      "-->",
      " ",
      "\n",
      "{login_url}",
      "=",
    );
    fc.assert(
      fc.property(fc.string({ unit: piece, maxLength: 60 }), (text) => void checkTemplate(text, "html")),
    );
  });
});
