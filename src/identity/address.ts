import { domainToASCII, domainToUnicode } from "node:url";
import { EN } from "../pages/languages/en.ts";

/**
 * The one parser for e-mail addresses. What it returns is what is mailed, limited, allowed, stored and forwarded;
 * nothing else in the program looks inside an address.
 */

declare const canonical: unique symbol;

/** A canonical address: ASCII, lower case, `local@domain` with the domain in IDNA form. Only `parseAddress` makes one. */
export type Address = string & { readonly [canonical]: true };

/** A canonical domain, as {@link domainOf} and {@link parseDomain} give it. */
export type Domain = string & { readonly [canonical]: "domain" };

/** Why an address was refused, in words for whoever typed it. */
export class AddressError extends Error {
  readonly code = "invalid_email";
  readonly problem: AddressProblem;
  constructor(problem: AddressProblem) {
    super(EN[`address.${problem}`]);
    this.problem = problem;
  }
}

export type AddressProblem =
  | "empty"
  | "too_long"
  | "control_character"
  | "not_one_at"
  | "display_name"
  | "several"
  | "quoted"
  | "local_part"
  | "domain"
  | "mixed_script";

/** RFC 5321 §4.5.3.1: a path is at most 256 octets with its angle brackets, a local part at most 64. */
const MAX_ADDRESS = 254;
const MAX_LOCAL = 64;

// RFC 5322 §3.2.3 dot-atom, ASCII only: a mailbox that needs SMTPUTF8 cannot be reached by every relay. Without `%` and `!`,
// by which some relays still route mail on to another host (RFC 5321 §F.2).
const DOT_ATOM = /^[A-Za-z0-9#$&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9#$&'*+/=?^_`{|}~-]+)*$/;
const CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
// Asked before IDNA mapping: `domainToASCII` would also decode percent signs and cut at slashes.
const DOMAIN_INPUT = /^[\p{L}\p{N}\p{M}.\-\u3002\uff0e\uff61]+$/u;

/**
 * Parses an address as a person types it.
 * @throws {AddressError} for anything but one plain address (CONTRACT section 6).
 */
export function parseAddress(input: string): Address {
  // Longer than any address with room for space around it: not worth a look.
  if (input.length > 4 * MAX_ADDRESS) throw new AddressError("too_long");
  // Trims blanks only: a line feed at the end is an injection attempt, not a slip of the finger.
  const typed = input.replace(/^[ \t\u00a0]+|[ \t\u00a0]+$/g, "");
  if (typed === "") throw new AddressError("empty");
  if (CONTROL.test(typed)) throw new AddressError("control_character");
  if (/[<>()]/.test(typed)) throw new AddressError("display_name");
  if (/[,;]/.test(typed)) throw new AddressError("several");
  if (typed.includes('"')) throw new AddressError("quoted");
  const at = typed.indexOf("@");
  if (at === -1 || typed.indexOf("@", at + 1) !== -1) throw new AddressError("not_one_at");
  const local = typed.slice(0, at);
  // Asked before it is lower-cased, which turns the Kelvin sign (U+212A) into a plain k.
  if (local.length > MAX_LOCAL || !DOT_ATOM.test(local)) throw new AddressError("local_part");
  const address = `${local.toLowerCase()}@${parseDomain(typed.slice(at + 1))}`;
  if (address.length > MAX_ADDRESS) throw new AddressError("too_long");
  return address as Address;
}

/** The same for what need not be one, such as what is searched for. @returns undefined for what is no address. */
export function addressIn(input: string): Address | undefined {
  try {
    return parseAddress(input);
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}

/**
 * Parses a domain into its IDNA form (UTS #46, non-transitional).
 * @throws {AddressError} if it is none, or if one of its labels mixes scripts.
 */
export function parseDomain(input: string): Domain {
  if (!DOMAIN_INPUT.test(input)) throw new AddressError("domain");
  const ascii = domainToASCII(input.toLowerCase());
  const labels = ascii.split(".");
  if (ascii === "" || ascii.length > 253 || !labels.every((label) => LABEL.test(label))) {
    throw new AddressError("domain");
  }
  // A numeric last label is an IPv4 address in one of its spellings (WHATWG URL, "ends in a number").
  if (/^(?:0x[0-9a-f]*|[0-9]+)$/.test(labels.at(-1) ?? "")) throw new AddressError("domain");
  for (const label of domainToUnicode(ascii).split(".")) {
    if (mixesScripts(label)) throw new AddressError("mixed_script");
  }
  return ascii as Domain;
}

export function domainOf(address: Address): Domain {
  return address.slice(address.indexOf("@") + 1) as Domain;
}

/**
 * What mails are counted on: most servers put `local+anything@domain` into the mailbox of `local@domain` (RFC 5233, sub-addressing),
 * so all of these count as one. `local@domain` itself counts apart: whoever asks for sub-addresses, to which nothing is sent where
 * they may not sign in, would otherwise keep its owner out with one request for each cooldown. For counting only: who somebody
 * is, and where mail goes, is the address.
 */
export function mailboxOf(address: Address): string {
  // At the very beginning it separates nothing.
  return address.replace(/^([^+@]+\+)[^@]*/, "$1");
}

/** The address without its sub-address, where it has one: most servers put both into one mailbox, as {@link mailboxOf} says. */
export function ownerOfMailbox(address: Address): Address {
  return address.replace(/^([^+@]+)\+[^@]*/, "$1") as Address;
}

/** What is written so is Latin. */
const ASCII = /^[ -~]*$/;

/** UTS #39 §5.1, "single script", with the East Asian scripts that are written together counted as one. */
function mixesScripts(label: string): boolean {
  return !ASCII.test(label) && !scripts().some((script) => script.test(label));
}

const ALONE =
  "Latin Cyrillic Greek Arabic Hebrew Devanagari Bengali Tamil Telugu Thai Georgian Armenian Ethiopic Khmer";
const TOGETHER = ["Han Hiragana Katakana", "Han Bopomofo", "Han Hangul"];

let made: readonly RegExp[] | undefined;

/**
 * Each matches what is written in its scripts, with what is common to all of them: digits, hyphens, accents. Made when a domain first
 * needs them: they are dear, and most installations never do.
 */
function scripts(): readonly RegExp[] {
  made ??= [...ALONE.split(" "), ...TOGETHER].map((names) => {
    const classes = `${names} Common Inherited`.split(" ").map((script) => `\\p{Script=${script}}`);
    return new RegExp(`^[${classes.join("")}]*$`, "u");
  });
  return made;
}
