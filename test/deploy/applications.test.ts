import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Configurations of applications that come along: their form, since not every application can be had in a test. */

type Ini = Record<string, Record<string, string>>;

/** @throws for a line that is no section, no comment and no `key = value`, and for what is there twice. */
function parseIni(text: string): Ini {
  const sections: Ini = {};
  let current: Record<string, string> | undefined;
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith(";")) continue;
    const [, section] = /^\[([a-z._]+)\]$/.exec(line) ?? [];
    const [, key, value] = /^([a-z_]+) = (\S.*)$/.exec(line) ?? [];
    if (section !== undefined && !(section in sections)) {
      current = {};
      sections[section] = current;
    } else if (current !== undefined && key !== undefined && value !== undefined && !(key in current)) {
      current[key] = value;
    } else throw new Error(`not understood: ${line}`);
  }
  return sections;
}

test("grafana.ini names what is there: header, keys, claims, issuer and audience", () => {
  const path = join(import.meta.dir, "../../deploy/applications/grafana.ini.example");
  const { server, "auth.jwt": jwt, ...others } = parseIni(readFileSync(path, "utf8"));
  expect(Object.keys(others)).toEqual(["auth"]);
  expect(jwt).toEqual({
    enabled: "true",
    header_name: "X-Runegate-JWT",
    jwk_set_url: "https://grafana.example.org/_runegate/jwks.json",
    // Its default of an hour would outlast the ten minutes for which an old key goes on signing.
    cache_ttl: "10m",
    username_claim: "email",
    email_claim: "email",
    expect_claims: expect.any(String),
    auto_sign_up: "true",
  });
  const origin = server?.root_url?.replace(/\/$/, "");
  expect(JSON.parse(jwt?.expect_claims ?? "")).toEqual({ iss: "https://app.example.org", aud: origin });
});
