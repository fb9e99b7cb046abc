import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import { OPTIONS } from "../../config/options.ts";
import { addresses, domains } from "../../identity/values.ts";
import { describeTarget, type TargetAddress, targetAddress } from "../../net/endpoint.ts";
import { parseIp } from "../../net/ip.ts";
import { isLoopbackHost } from "../../net/loopback.ts";
import { messageOf } from "../../observe/message-of.ts";
import { quote, ValueError } from "../../option/value-error.ts";
import { SECOND } from "../../option/values.ts";
import { probeTarget } from "../probe-target.ts";
import type { Dialog } from "./dialog.ts";

/** What a first run has to know: each question, what is an answer to it, and whether the world agrees. */

const TARGET_MS = 3 * SECOND;

/** @returns the name, in lower case and without a port. */
export function askDomain(
  dialog: Dialog,
  given: string | undefined,
  known: string | undefined,
): Promise<string> {
  return dialog.ask({
    hint: "The name that people will type, which leads to this server: app.example.org",
    text: "Domain",
    ...{ flag: "--domain", given, default: known, parse: domainName, doubts: doubtsAboutName },
  });
}

/** One that can have a certificate: a single label, or an address, is no name that the world knows. */
function domainName(text: string): string {
  const [, name = ""] = /^(?:https?:\/\/)?([^\s/?#@\\:]+?)\.?\/?$/i.exec(text) ?? [];
  const hostname = URL.parse(`https://${name}`)?.hostname ?? "";
  // As long as DNS has them (RFC 1035 §2.3.4).
  const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
  const isName = hostname.length <= 253 && new RegExp(`^${label}(?:\\.${label})+$`).test(hostname);
  if (isName && parseIp(hostname) === undefined && !isLoopbackHost(hostname)) return hostname;
  throw new ValueError(`is no domain name: ${quote(text)}`, "Write a name such as app.example.org.");
}

async function doubtsAboutName(name: string): Promise<readonly string[]> {
  const own = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
  const reachable = own.filter((address) => !isLoopbackHost(address) && !address.startsWith("fe80:"));
  const here = reachable.length === 0 ? "" : ` (this machine's addresses: ${reachable.join(", ")})`;
  let found: readonly string[];
  try {
    found = (await lookup(name, { all: true })).map(({ address }) => address);
  } catch (error) {
    return [
      `${name} leads nowhere yet (${messageOf(error)}). Add an A or AAAA record that leads here${here}.`,
    ];
  }
  const elsewhere = found.filter((address) => !isLoopbackHost(address) && !own.includes(address));
  return elsewhere.length === 0
    ? []
    : [`${name} leads to ${elsewhere.join(" and ")}, which is right only if that comes in here${here}.`];
}

export type Allowed = { readonly emails: string; readonly domains: string };

export function askAllowed(dialog: Dialog, given: string | undefined, known: Allowed): Promise<Allowed> {
  const all = [known.emails, ...known.domains.split(",").map((one) => one && `@${one}`)].filter(Boolean);
  return dialog.ask({
    hint: "Who may sign in: addresses, or @example.org for a whole domain, separated by commas",
    text: "Allow",
    flag: "--allow",
    given,
    default: all.length === 0 ? undefined : all.join(","),
    parse(text) {
      const entries = text
        .split(",")
        .map((entry) => entry.trim())
        .filter((entry) => entry !== "" && entry !== "@");
      const pattern = entries.find((entry) => entry.includes("*"));
      if (pattern !== undefined)
        throw new ValueError(`has a pattern: ${quote(pattern)}`, "For a whole domain, write @example.org.");
      const whole = entries.filter((entry) => entry.startsWith("@"));
      const single = entries.filter((entry) => !entry.startsWith("@"));
      const found = {
        emails: [...addresses(single.join(","))].join(","),
        domains: [...domains(whole.map((entry) => entry.slice(1)).join(","))].join(","),
      };
      if (found.emails === "" && found.domains === "")
        throw new ValueError("names nobody", "Write an address, such as your own.");
      return found;
    },
  });
}

/** @returns it as it is written into the env file. */
export async function askTarget(
  dialog: Dialog,
  given: string | undefined,
  known: string | undefined,
): Promise<string> {
  const target = await dialog.ask<TargetAddress>({
    hint: "The application to protect: its address, or its port on this machine",
    text: "Application",
    ...{ flag: "--target", given, default: known ?? OPTIONS.target.default, parse: targetAddress },
    async doubts(address) {
      const { ok, lines } = await probeTarget(address, TARGET_MS);
      return ok ? [] : [`${lines[0]} It may be started later.`];
    },
  });
  return describeTarget(target);
}
