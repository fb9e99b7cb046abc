import { expect, test } from "bun:test";
import { loadAccess } from "../../src/config/configuration.ts";
import { policyOf } from "../../src/config/routes.ts";
import { parseAddress } from "../../src/identity/address.ts";
import { groupsText } from "../../src/identity/principal.ts";
import { testMachine } from "../support/surroundings.ts";

/** Who may sign in, where the environment and `routes.toml` both name people. */

test.each([
  ["named by the environment", "ada@example.org", true],
  ["named by a route", "bob@partner.example", true],
  ["by the domain that a route names", "x@consult.example", true],
  ["in a group that a route allows", "grace@example.org", true],
  ["an administrator whom no route names", "root@example.org", true],
  ["in a group that is only named to be kept out", "eve@example.org", false],
  ["in a group that nothing names", "dan@example.org", false],
  ["anyone, where a route is for anyone who may sign in", "stranger@elsewhere.example", false],
])("%s", (_, address, allowed) => {
  using machine = testMachine();
  machine.write(
    "routes.toml",
    `[groups]
    staff = ["grace@example.org"]
    admins = ["root@example.org"]
    banned = ["eve@example.org"]
    unused = ["dan@example.org"]
    [[routes]]
    name = "a"
    target = "http://10.0.0.2:3000"
    allow = ["group:staff", "bob@partner.example", "@consult.example"]
    deny = ["group:banned"]
    [[routes]]
    name = "b"
    path = "/b"
    target = "http://10.0.0.2:3000"
    allow = ["anyone"]`,
  );
  const { options, routesFile } = loadAccess(
    { env: { RUNEGATE_ALLOWED_EMAILS: "ada@example.org" } },
    machine,
  );
  expect(policyOf(options, routesFile).allows(parseAddress(address))).toBe(allowed);
});

test("who may do what goes by all groups that somebody is in, however many", () => {
  using machine = testMachine();
  const ROUTE = '[[routes]]\nname = "a"\ntarget = "http://10.0.0.2:3000"';
  const many = Array.from({ length: 60 }, (_, n) => `a${n} = ["root@example.org"]`);
  machine.write("routes.toml", `[groups]\n${many.join("\n")}\nadmins = ["root@example.org"]\n${ROUTE}`);
  const { options, routesFile } = loadAccess({ env: {} }, machine);
  const { groups } = policyOf(options, routesFile).standingOf({ email: parseAddress("root@example.org") });
  expect([groups.size, groups.has("admins")]).toEqual([61, true]);
  expect(groupsText(groups).split(",")).toHaveLength(50);
});
