import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createPolicy } from "../../src/access/policy.ts";
import {
  type Address,
  AddressError,
  type AddressProblem,
  type Domain,
  domainOf,
  parseAddress,
  parseDomain,
} from "../../src/identity/address.ts";

function parsed(input: string): string {
  try {
    return parseAddress(input);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    return `refused: ${error.problem}`;
  }
}

const refusals: ReadonlyArray<readonly [what: string, input: string, problem: AddressProblem]> = [
  ["nothing", "", "empty"],
  ["blanks", " \t ", "empty"],
  ["no @", "ada.example.org", "not_one_at"],
  ["two @", "ada@example.org@evil.example", "not_one_at"],
  ["two @ in a row", "ada@@example.org", "not_one_at"],
  ["a fullwidth @ beside the real one", "ada＠evil.example@example.org", "local_part"],
  ["a small-form @ in place of it", "ada﹫example.org", "not_one_at"],
  ["percent routing (RFC 1123 §5.2.16) with two @", "ada%evil.example@@example.org", "not_one_at"],
  ["percent routing", "ada%evil.example@example.org", "local_part"],
  ["a bang path", "evil.example!ada@example.org", "local_part"],
  ["a bang path's blanks", "evil!ada @example.org", "local_part"],
  ["a display name", "Ada <ada@example.org>", "display_name"],
  ["angle brackets", "<ada@example.org>", "display_name"],
  ["a comment (RFC 5322 §3.2.2)", "ada(comment)@example.org", "display_name"],
  ["a comment in the domain", "ada@example.org(comment)", "display_name"],
  ["two addresses, comma", "ada@example.org,eve@evil.example", "several"],
  ["two addresses, semicolon", "ada@example.org;eve@evil.example", "several"],
  ["a group (RFC 5322 §3.4)", "all:ada@example.org;", "several"],
  ["a comma at the end", "ada@example.org,", "several"],
  ["a quoted local part", '"ada"@example.org', "quoted"],
  ["a quoted @", '"ada@evil.example"@example.org', "quoted"],
  ["a line feed and a header", "ada@example.org\nBcc: eve@evil.example", "control_character"],
  ["a carriage return and a header", "ada@example.org\rBcc:eve", "control_character"],
  ["CRLF at the end", "ada@example.org\r\n", "control_character"],
  ["a line feed at the start", "\nada@example.org", "control_character"],
  ["CRLF in the local part", "ad\r\na@example.org", "control_character"],
  ["NUL", "ada\0@example.org", "control_character"],
  ["NUL before another domain", "ada@example.org\0.evil.example", "control_character"],
  ["a tab inside", "ada\t@example.org", "control_character"],
  ["DEL", "ada\x7f@example.org", "control_character"],
  ["NEL, a C1 line end", "ada\x85@example.org", "control_character"],
  ["Unicode's line separator", "ada\u2028@example.org", "control_character"],
  ["Unicode's paragraph separator", "ada@example.org\u2029", "control_character"],
  ["a zero-width space", "a\u200bda@example.org", "control_character"],
  ["a zero-width joiner in the domain", "ada@exa\u200dmple.org", "control_character"],
  ["a soft hyphen", "ada@exam\u00adple.org", "control_character"],
  ["a right-to-left override", "ada@\u202egro.elpmaxe", "control_character"],
  ["a byte order mark", "\ufeffada@example.org", "control_character"],
  ["a blank inside the local part", "a da@example.org", "local_part"],
  ["a no-break space inside", "a\u00a0da@example.org", "local_part"],
  ["an ideographic space at the end", "ada@example.org\u3000", "domain"],
  ["no local part", "@example.org", "local_part"],
  ["a dot at its start", ".ada@example.org", "local_part"],
  ["a dot at its end", "ada.@example.org", "local_part"],
  ["two dots in it", "ada..lovelace@example.org", "local_part"],
  ["a backslash", "ada\\@example.org", "local_part"],
  ["a colon", "mailto:ada@example.org", "local_part"],
  ["a bracket", "[ada]@example.org", "local_part"],
  ["umlauts, which need SMTPUTF8", "ädä@example.org", "local_part"],
  ["a Cyrillic а", "аda@example.org", "local_part"],
  ["the Kelvin sign, lower-cased to a plain k", "\u212Aarl@example.org", "local_part"],
  ["the long s, upper-cased to a plain S", "\u017Fara@example.org", "local_part"],
  ["the dotted capital I", "\u0130da@example.org", "local_part"],
  ["fullwidth letters", "ａda@example.org", "local_part"],
  ["a lone surrogate", "a\ud800da@example.org", "local_part"],
  ["65 characters before the @", `${"a".repeat(65)}@example.org`, "local_part"],
  ["no domain", "ada@", "domain"],
  ["a blank before the domain", "ada@ example.org", "domain"],
  ["a blank in the domain", "ada@exam ple.org", "domain"],
  ["a dot at its start", "ada@.example.org", "domain"],
  ["a dot at its end", "ada@example.org.", "domain"],
  ["two dots in it", "ada@example..org", "domain"],
  ["a hyphen at a label's start", "ada@-example.org", "domain"],
  ["a hyphen at a label's end", "ada@example-.org", "domain"],
  ["an underscore", "ada@exam_ple.org", "domain"],
  ["an address literal (RFC 5321 §4.1.3)", "ada@[127.0.0.1]", "domain"],
  ["an IPv6 literal", "ada@[IPv6:::1]", "domain"],
  ["an IPv4 address", "ada@127.0.0.1", "domain"],
  ["an IPv4 address as one number", "ada@2130706433", "domain"],
  ["an IPv4 address in hexadecimal", "ada@0x7f000001", "domain"],
  ["an IPv4 address in circled digits", "ada@①②⑦.0.0.1", "domain"],
  ["a port", "ada@example.org:25", "domain"],
  ["a slash", "ada@example.org/evil.example", "domain"],
  ["a fullwidth slash", "ada@example.org／evil.example", "domain"],
  ["a backslash", "ada@example.org\\evil.example", "domain"],
  ["a question mark", "ada@example.org?evil.example", "domain"],
  ["a hash", "ada@example.org#evil.example", "domain"],
  ["an encoded dot", "ada@example%2eorg", "domain"],
  ["an encoded NUL", "ada@example.org%00", "domain"],
  ["a sign that IDNA turns into letters and a slash", "ada@℀.example", "domain"],
  ["an emoji", "ada@💌.example", "domain"],
  ["a label that is no punycode", "ada@xn--zzzzzzz99999.example", "domain"],
  ["an empty punycode label", "ada@xn--.example", "domain"],
  ["a label of 64 letters", `ada@${"a".repeat(64)}.example`, "domain"],
  ["Cyrillic а in a Latin domain", "ada@exаmple.org", "mixed_script"],
  ["Greek ο in a Latin domain", "ada@exampleοne.org", "mixed_script"],
  ["Cyrillic in a Latin domain, as punycode", "ada@xn--exmple-4nf.org", "mixed_script"],
  ["Latin and Han", "ada@漢a漢.example", "mixed_script"],
  ["Cyrillic and Greek", "ada@аο.example", "mixed_script"],
  ["255 characters", `${"a".repeat(64)}@${`${"b".repeat(60)}.`.repeat(3)}${"c".repeat(7)}`, "too_long"],
  [
    "short as typed, too long in IDNA form",
    `${"a".repeat(64)}@${`${"ü".repeat(40)}.`.repeat(4)}de`,
    "too_long",
  ],
  ["a megabyte", "a".repeat(1 << 20), "too_long"],
];

const canonical: ReadonlyArray<readonly [what: string, input: string, address: string]> = [
  ["an address as it is", "ada@example.org", "ada@example.org"],
  ["blanks around it", "  ada@example.org \t", "ada@example.org"],
  ["a no-break space around it, from a paste", "\u00a0ada@example.org\u00a0", "ada@example.org"],
  ["capitals", "Ada.Lovelace@Example.ORG", "ada.lovelace@example.org"],
  ["a plus-tag, kept", "ada+runegate@example.org", "ada+runegate@example.org"],
  ["dots, kept: they are part of the mailbox's name", "a.d.a@gmail.com", "a.d.a@gmail.com"],
  [
    "every atom character of RFC 5322 but those that route",
    "#$&'*+-/=?^_`{|}~a@example.org",
    "#$&'*+-/=?^_`{|}~a@example.org",
  ],
  ["64 characters before the @", `${"a".repeat(64)}@example.org`, `${"a".repeat(64)}@example.org`],
  [
    "254 characters",
    `${"a".repeat(64)}@${`${"b".repeat(60)}.`.repeat(3)}${"c".repeat(6)}`,
    `${"a".repeat(64)}@${`${"b".repeat(60)}.`.repeat(3)}${"c".repeat(6)}`,
  ],
  ["a German domain", "ada@bücher.example", "ada@xn--bcher-kva.example"],
  ["the same in capitals", "ada@BÜCHER.example", "ada@xn--bcher-kva.example"],
  ["the same decomposed", "ada@bu\u0308cher.example", "ada@xn--bcher-kva.example"],
  ["the same as punycode", "ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"],
  ["punycode in capitals", "ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"],
  ["ß, which stays itself (UTS #46, non-transitional)", "ada@straße.example", "ada@xn--strae-oqa.example"],
  ["a domain in Cyrillic alone", "ada@почта.рф", "ada@xn--80a1acny.xn--p1ai"],
  ["Japanese in its three scripts", "ada@ひらカナ漢.example", parseAddress("ada@ひらカナ漢.example")],
  ["fullwidth letters in the domain", "ada@ｅｘａｍｐｌｅ.org", "ada@example.org"],
  ["an ideographic full stop", "ada@example。org", "ada@example.org"],
  ["a single label", "root@localhost", "root@localhost"],
  ["a label of digits", "ada@163.com", "ada@163.com"],
];

describe("an address is refused", () => {
  test.each(refusals)("%s", (_, input, problem) => {
    expect(parsed(input)).toBe(`refused: ${problem}`);
  });

  test("in words that never repeat what was sent", () => {
    for (const [, input] of refusals) {
      try {
        parseAddress(input);
      } catch (error) {
        const { message } = error as Error;
        expect(message).toMatch(/^[\x20-\x7e]+\.$/);
        expect(input.length > 3 && message.includes(input)).toBe(false);
      }
    }
  });
});

describe("an address has one canonical form", () => {
  test.each(canonical)("%s", (_, input, address) => {
    expect(parsed(input)).toBe(address);
  });
});

describe("any text", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "@",
      ".",
      "-",
      "+",
      " ",
      "\r\n",
      "\t",
      "\0",
      "<",
      ">",
      '"',
      ",",
      ";",
      "%40",
      "xn--",
      "ſ",
      "K",
      "İ",
      "。",
      "／",
      "＠",
      "\u200b",
      "ß",
      "а",
      "漢",
      "ひ",
      "é",
      "1",
      "0x7f",
      "[",
      "]",
      "(",
      "example.org",
      "ada",
    ),
    fc.string({ unit: "binary", maxLength: 6 }),
    fc.string({ unit: "grapheme", maxLength: 6 }),
  );
  const text = fc.oneof(
    fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join("")),
    fc
      .tuple(fc.array(piece, { maxLength: 3 }), fc.array(piece, { maxLength: 4 }))
      .map(([a, b]) => `${a.join("")}@${b.join("")}`),
    fc.emailAddress(),
  );

  test("is refused, or accepted in a form that is its own canonical form", () => {
    fc.assert(
      fc.property(text, (input) => {
        let address: Address;
        try {
          address = parseAddress(input);
        } catch (error) {
          expect(error).toBeInstanceOf(AddressError);
          return;
        }
        expect(parseAddress(address)).toBe(address);
        expect(address).toMatch(/^[\x21-\x7e]+$/);
        expect(address).toBe(address.toLowerCase() as Address);
        expect(address.split("@")).toHaveLength(2);
        expect(address.length).toBeLessThanOrEqual(254);
        expect(address).not.toMatch(/[<>()[\],;:\\"\s]/);
        expect(parseDomain(domainOf(address))).toBe(domainOf(address));
      }),
      { numRuns: 6_000 },
    );
  });

  test("in another case is the same address", () => {
    fc.assert(
      fc.property(fc.emailAddress(), (input) => {
        expect(parsed(input.toUpperCase())).toBe(parsed(input.toLowerCase()));
      }),
    );
  });
});

describe("the allow-list", () => {
  const policy = createPolicy({
    signIn: "allowed",
    admins: new Set(),
    allowAnyEmail: false,
    allowedEmails: new Set([parseAddress("eve@partner.example")]),
    allowedDomains: new Set<Domain>([parseDomain("example.org"), parseDomain("bücher.example")]),
  });

  test.each([
    ["an address of an allowed domain", "ada@example.org", true],
    ["in capitals", "ADA@EXAMPLE.ORG", true],
    ["with a plus-tag", "ada+x@example.org", true],
    ["an allowed address", "Eve@Partner.example", true],
    ["an allowed IDN domain", "ada@BÜCHER.example", true],
    ["an allowed IDN domain as punycode", "ada@xn--bcher-kva.example", true],
    ["a sub-domain", "ada@mail.example.org", false],
    ["the domain above", "ada@org", false],
    ["a domain that ends in the allowed one", "ada@notexample.org", false],
    ["a domain that begins with it", "ada@example.org.evil.example", false],
    ["the allowed domain as local part", "example.org@evil.example", false],
    ["another address of an allowed address's domain", "mallory@partner.example", false],
    ["an allowed address with a plus-tag is another address", "eve+x@partner.example", false],
    ["an allowed address with dots is another address", "e.ve@partner.example", false],
    ["a look-alike in one script", "ada@ехамрӏе.example", false],
    ["the IDN domain without its dots", "ada@bucher.example", false],
  ])("%s", (_, input, allowed) => {
    expect(policy.allows(parseAddress(input))).toBe(allowed);
  });
});
