import { quote, ValueError } from "../option/value-error.ts";
import { list } from "../option/values.ts";
import { type Address, AddressError, type Domain, parseAddress, parseDomain } from "./address.ts";

/** Parsers for addresses and domains in options. */

export function addresses(text: string): ReadonlySet<Address> {
  return new Set(list(address)(text));
}

function address(text: string): Address {
  const remedy = /^\*?@/.test(text)
    ? "Whole domains go into RUNEGATE_ALLOWED_DOMAINS."
    : "Write plain addresses such as ada@example.org, separated by commas.";
  return explained(parseAddress, text, `has an entry that is no address: ${quote(text)}`, remedy);
}

export function domains(text: string): ReadonlySet<Domain> {
  return new Set(list(domain)(text));
}

function domain(text: string): Domain {
  const remedy = text.startsWith("*")
    ? "Domains are matched exactly: write each subdomain out."
    : "Write domains such as example.org, without an @, separated by commas.";
  return explained(parseDomain, text, `has an entry that is no domain: ${quote(text)}`, remedy);
}

/** Reads a text with a parser of `address.ts`. @throws {ValueError} in its place, with what it says. */
export function explained<T>(parse: (text: string) => T, text: string, problem: string, remedy: string): T {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof AddressError) throw new ValueError(problem, `${error.message} ${remedy}`.trim());
    throw error;
  }
}
