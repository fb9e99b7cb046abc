import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { parseEmailConfig } from "../../src/config/email.ts";
import { parseEnvFile } from "../../src/config/env-file.ts";
import { OPTION_LIST } from "../../src/config/options.ts";
import { createClientReader } from "../../src/edge/client.ts";
import { createCookieReader } from "../../src/edge/cookies.ts";
import { placeOf } from "../../src/edge/target.ts";
import { AddressError, parseAddress } from "../../src/identity/address.ts";
import { parseCode } from "../../src/login/code.ts";
import { safeNext } from "../../src/login/next.ts";
import { LOGIN_LINK } from "../../src/login/ticket.ts";
import { networks } from "../../src/net/endpoint.ts";
import { parseIp } from "../../src/net/ip.ts";
import { maskTokens } from "../../src/observe/mask.ts";
import { ConfigError } from "../../src/option/finding.ts";
import { ValueError } from "../../src/option/value-error.ts";
import { createTickets, TicketError } from "../../src/secret/ticket.ts";
import { testClock } from "../support/clock.ts";
import { keysOf } from "../support/keys.ts";

setDefaultTimeout(300_000);

/**
 * Everything that parses what strangers send, against texts made of the pieces that break parsers: a million in all, which
 * takes some five seconds. A failure prints its seed.
 */
const CASES = 1_000_000;

/** Pieces that mean something to one parser or another, and plain noise. */
function text(...pieces: string[]): fc.Arbitrary<string> {
  return fc
    .array(
      fc.oneof(
        { arbitrary: fc.constantFrom(...pieces), weight: 4 },
        {
          arbitrary: fc.constantFrom(
            "",
            " ",
            "\t",
            "\r",
            "\n",
            "\0",
            "%",
            "\u00a0",
            "\u200b",
            "é",
            "／",
            ".",
          ),
          weight: 2,
        },
        { arbitrary: fc.string({ unit: "binary", maxLength: 4 }), weight: 1 },
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join(""));
}

/** @param share of all cases. */
function holds<T>(share: number, input: fc.Arbitrary<T>, property: (value: T) => void): void {
  fc.assert(fc.property(input, property), { numRuns: Math.round(CASES * share) });
}

/** What `parse` gives, or undefined if it throws what it says it throws. Anything else is a crash. */
function accepted<T>(
  parse: () => T,
  ...errors: ReadonlyArray<new (...args: never[]) => Error>
): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (errors.some((expected) => error instanceof expected)) return undefined;
    throw error;
  }
}

describe("any text at all", () => {
  test("is an address in its one form, or none", () => {
    const input = text(
      "@",
      "a",
      "ada",
      "example.org",
      ".",
      "-",
      "+",
      "xn--",
      "<",
      ">",
      ",",
      '"',
      "%",
      "!",
      "ß",
      "К",
    );
    holds(0.2, input, (typed) => {
      const address = accepted(() => parseAddress(typed), AddressError);
      if (address === undefined) return;
      if (parseAddress(address) !== address) throw new Error(`${address} is not its own canonical form`);
      if (!/^[a-z0-9#$&'*+/=?^_`{|}~.-]+@[a-z0-9.-]+$/.test(address)) throw new Error(`${address} is odd`);
    });
  });

  test("as next stays on this host", () => {
    const input = text(
      "/",
      "\\",
      "//",
      ":",
      "@",
      "?",
      "#",
      "%2f",
      "%5c",
      "%252f",
      "evil.example",
      "http",
      "javascript:",
      "..",
      ";",
    );
    holds(0.2, input, (typed) => {
      const next = safeNext(typed, "/landing", ({ path }) => path === "/login");
      const url = new URL(next, "https://app.example.org/");
      if (url.origin !== "https://app.example.org" || !/^\/(?![/\\])/.test(next))
        throw new Error(`${typed} → ${next}`);
    });
  });

  test("as a path never spells the reserved prefix unseen", () => {
    const input = text(
      "/",
      "_runegate",
      "%5f",
      "runegate",
      "%2e",
      "..",
      "/..",
      ";",
      "%2f",
      "\\",
      "%25",
      "_RUNEGATE",
      "login",
    );
    holds(0.1, input, (typed) => {
      const path = `/${typed}`;
      const place = placeOf(path);
      if (place === "application" && /^\/_runegate(?:\/|$)/.test(path)) throw new Error(path);
    });
  });

  test("as forwarding headers gives a client in normal form", () => {
    const read = createClientReader(networks("127.0.0.0/8,::1,10.0.0.0/8"), "tcp");
    const input = text(
      "1.2.3.4",
      "10.0.0.1",
      "::1",
      "[",
      "]",
      ":80",
      ",",
      "unknown",
      "for=",
      "127.0.0.1",
      "fe80::1%eth0",
      "::ffff:",
    );
    holds(0.12, fc.tuple(input, input, input), ([forwardedFor, proto, host]) => {
      const client = read(
        { host: "a", "x-forwarded-for": forwardedFor, "x-forwarded-proto": proto, "x-forwarded-host": host },
        "127.0.0.1",
      );
      if (client === undefined) throw new Error("nobody");
      if (parseIp(client.ip)?.text !== client.ip) throw new Error(`${forwardedFor} → ${client.ip}`);
      if (client.proto !== "http" && client.proto !== "https") throw new Error(client.proto);
      if (!/^[\w.:[\]-]+$/.test(client.host)) throw new Error(client.host);
    });
  });

  test("as a Cookie header leaves nothing of ours for the application", () => {
    const read = createCookieReader([{ name: "runegate_id" }, { name: "runegate_login" }]);
    const input = text("runegate_id", "runegate_login", "=", ";", "; ", "a=b", "__Host-", ",", '"');
    holds(0.12, input, (header) => {
      const { rest } = read(header);
      for (const pair of rest?.split(";") ?? []) {
        if (/^[\t ]*runegate_(?:id|login)[\t ]*=/.test(pair)) throw new Error(`${header} → ${rest}`);
      }
    });
  });

  test("as a code is eight characters of the alphabet, or none", () => {
    const input = text("A", "2", "BCDE-FGHJ", "-", "0", "O", "ı", "ß");
    holds(0.08, input, (typed) => {
      const code = parseCode(typed);
      if (code !== undefined && !/^[2-9A-HJKMNP-Z]{8}$/.test(code)) throw new Error(code);
    });
  });

  test("as an env file gives entries or problems", () => {
    const input = text("RUNEGATE_LISTEN", "=", '"', "'", "\n", "#", "export ", "\\", "127.0.0.1:1", "$", "`");
    holds(0.06, input, (file) => void parseEnvFile(file, "fuzz.env"));
  });

  test("as email.toml gives a configuration or problems", () => {
    const input = text(
      "smtp_host",
      "from_address",
      " = ",
      '"',
      "\n",
      "[a]",
      "{login_url}",
      "1",
      "true",
      "body_template",
      "'''",
    );
    holds(0.03, input, (file) => void accepted(() => parseEmailConfig(file, "email.toml"), ConfigError));
  });

  test("as an option's value is taken or explained", () => {
    const input = text(
      "true",
      "0",
      "15m",
      "/",
      "http://",
      "127.0.0.1",
      ":80",
      ",",
      "*",
      "unix:",
      "7d",
      "-1",
      "1e9",
      "[::1]",
    );
    holds(
      0.06,
      fc.tuple(fc.constantFrom(...OPTION_LIST.map(([, option]) => option)), input),
      ([option, value]) => {
        accepted(() => option.parse(value), ValueError);
      },
    );
  });

  test("has no token left when it reaches the log", () => {
    const input = text("eyJ", "eyJhbGciOiJIUzI1NiJ9", ".", "x", "/auth?token=");
    holds(0.02, input, (line) => {
      if (/eyJ[\w-]{2,}/.test(maskTokens(line))) throw new Error(line);
    });
  });

  test("is no ticket", async () => {
    const tickets = createTickets(keysOf(0), { audience: "https://app.example.org", clock: testClock() });
    const input = text(
      "eyJhbGciOiJIUzI1NiJ9",
      "eyJhbGciOiJub25lIn0",
      ".",
      "..",
      "e30",
      "-",
      "_",
      "=",
      "AAAA",
    );
    await fc.assert(
      fc.asyncProperty(input, async (token) => {
        await expect(tickets.verify(LOGIN_LINK, token)).rejects.toBeInstanceOf(TicketError);
      }),
      { numRuns: Math.round(CASES * 0.01) },
    );
  });
});
