import { describe, expect, test } from "bun:test";
import { readOptions } from "../../src/config/load.ts";
import { testMachine } from "../support/surroundings.ts";

/** @returns the options that something is wrong with, and what was read. */
function read(env: Record<string, string>) {
  using machine = testMachine();
  const { options, problems } = readOptions({ env }, machine);
  return { options, wrong: problems.map(({ option }) => option) };
}

const ISSUER = "https://id.example/realms/main/";
const NAMED = { RUNEGATE_OIDC_ISSUER: ISSUER, RUNEGATE_OIDC_AUDIENCES: "a, b" };

test("an issuer is kept as it is written, since it is compared so, and the rest has its defaults", () => {
  const { options, wrong } = read(NAMED);
  expect(wrong).toEqual([]);
  expect(options).toMatchObject({
    oidcIssuer: ISSUER,
    oidcAudiences: ["a", "b"],
    oidcJwksUrl: undefined,
    oidcSubjectClaim: "email",
    oidcGroupsClaim: "groups",
    oidcAdminGroup: "admin",
    oidcAdminGroupCaseInsensitive: false,
  });
  expect(read({}).options).toMatchObject({ oidcIssuer: undefined, apiOrigins: new Set() });
});

describe("what is wrong", () => {
  test.each<[string, Record<string, string>, string[]]>([
    ["an issuer without an audience", { RUNEGATE_OIDC_ISSUER: ISSUER }, ["RUNEGATE_OIDC_AUDIENCES"]],
    ["no issuer", {}, []],
    ["a loopback issuer over http", { ...NAMED, RUNEGATE_OIDC_ISSUER: "http://127.0.0.1:1/" }, []],
    [
      "an issuer over http",
      { ...NAMED, RUNEGATE_OIDC_ISSUER: "http://id.example" },
      ["RUNEGATE_OIDC_ISSUER"],
    ],
    ["a query", { ...NAMED, RUNEGATE_OIDC_ISSUER: `${ISSUER}?x` }, ["RUNEGATE_OIDC_ISSUER"]],
    ["a password", { ...NAMED, RUNEGATE_OIDC_ISSUER: "https://a:b@id.example" }, ["RUNEGATE_OIDC_ISSUER"]],
    ["no URL", { ...NAMED, RUNEGATE_OIDC_ISSUER: "id.example" }, ["RUNEGATE_OIDC_ISSUER"]],
    [
      "keys over http",
      { ...NAMED, RUNEGATE_OIDC_JWKS_URL: "http://id.example/" },
      ["RUNEGATE_OIDC_JWKS_URL"],
    ],
    ["keys in a file", { ...NAMED, RUNEGATE_OIDC_JWKS_URL: "file:///keys" }, ["RUNEGATE_OIDC_JWKS_URL"]],
    ["a claim with a blank", { ...NAMED, RUNEGATE_OIDC_GROUPS_CLAIM: "a b" }, ["RUNEGATE_OIDC_GROUPS_CLAIM"]],
    ["every origin", { RUNEGATE_API_ORIGINS: "*" }, ["RUNEGATE_API_ORIGINS"]],
    ["the origin of a sandbox", { RUNEGATE_API_ORIGINS: "null" }, ["RUNEGATE_API_ORIGINS"]],
    ["a path", { RUNEGATE_API_ORIGINS: "https://a.example/x" }, ["RUNEGATE_API_ORIGINS"]],
    ["origins", { RUNEGATE_API_ORIGINS: "https://a.example, http://localhost:3000" }, []],
  ])("%s", (_, env, wrong) => {
    expect(read(env).wrong).toEqual(wrong);
  });
});
