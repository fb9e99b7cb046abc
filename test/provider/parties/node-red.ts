import { join } from "node:path";
import { startProcess } from "../../support/process.ts";
import { inNode, installNode, nodePath } from "./install.ts";
import type { Party } from "./party.ts";
import type { Person } from "./person.ts";
import { discover, newSecret, program, surroundings } from "./programs.ts";
import { ready } from "./ready.ts";

/** Node-RED with passport-openidconnect. What a browser shows it afterwards is a token of Node-RED's own, kept by its script. */
export const nodeRed: Party = {
  name: "Node-RED with passport-openidconnect",
  does: { groups: false, code: "nonce", issuer: false, refresh: false, logout: "own", ends: "never" },
  client: (origin) => ({ secret: newSecret(), redirectUris: [`${origin}/auth/strategy/callback`] }),
  async start(place) {
    installNode();
    const { origin, directory, issuer } = place;
    const { authorization_endpoint, token_endpoint, userinfo_endpoint } = await discover(issuer);
    const running = startProcess(
      ["node", inNode("node-red/red.js"), "--userDir", join(directory, "node-red")].concat([
        ...["--settings", program("node-red.cjs")],
      ]),
      {
        ...surroundings(place),
        ...nodePath,
        ...{ AUTHORIZE: authorization_endpoint, TOKEN: token_endpoint, USERINFO: userinfo_endpoint },
      },
      directory,
    );
    await ready(`${origin}/auth/login`, running);
    const tokens = new WeakMap<Person, string>();
    const bearer = (person: Person) => ({ Authorization: `Bearer ${tokens.get(person)}` });
    return {
      process: running,
      enter: (person) => person.open(`${origin}/auth/strategy`),
      arrived(person, page) {
        // As it stands: it is not encoded, and has plus signs.
        const [, token] = /[?&]access_token=([^&]+)/.exec(page.url) ?? [];
        if (token !== undefined) tokens.set(person, token);
      },
      lost: (person) => void tokens.delete(person),
      async who(person) {
        const response = await person.ask(`${origin}/settings`, { headers: bearer(person) });
        if (!response.ok) return undefined;
        const { user } = (await response.json()) as { user: { username: string } };
        return { email: user.username };
      },
      async leave(person) {
        const body = new URLSearchParams({ token: tokens.get(person) ?? "" });
        await person.ask(`${origin}/auth/revoke`, { method: "POST", body, headers: bearer(person) });
        return person.open(origin);
      },
    };
  },
};
