import { startProcess } from "../../support/process.ts";
import { installNode, installPython, inVenv, nodePath } from "./install.ts";
import type { Party, Place, RunningParty, Who } from "./party.ts";
import type { Person } from "./person.ts";
import { newSecret, program, surroundings } from "./programs.ts";
import { ready } from "./ready.ts";

/** Small applications on a library each. All say at `/me` whom they take one for. */

type Paths = { readonly enter: string; readonly leave: string };

async function startAt(
  place: Place,
  command: readonly string[],
  paths: Paths,
  env: Readonly<Record<string, string>> = {},
): Promise<RunningParty> {
  const { origin, directory } = place;
  const running = startProcess(command, { ...surroundings(place), ...env }, directory);
  await ready(`${origin}/me`, running);
  return {
    process: running,
    enter: (person) => person.open(origin + paths.enter),
    leave: (person) => person.open(origin + paths.leave),
    who: (person) => whoAt(person, `${origin}/me`),
    refresh: async (person) => (await person.ask(`${origin}/refresh`, { method: "POST" })).ok,
  };
}

async function whoAt(person: Person, url: string): Promise<Who | undefined> {
  const response = await person.ask(url);
  if (response.status !== 200) return undefined;
  const { email, groups } = (await response.json()) as Who;
  return groups === undefined ? { email } : { email, groups };
}

const withOwnBye = (origin: string, callback: string) => ({
  secret: newSecret(),
  redirectUris: [origin + callback],
  postLogoutRedirectUris: [`${origin}/bye`],
});

export const authlib: Party = {
  name: "Authlib in Flask",
  does: { groups: true, code: "pkce", issuer: false, refresh: true, logout: "rp", ends: "refresh" },
  client: (origin) => withOwnBye(origin, "/callback"),
  start(place) {
    installPython();
    const command = [inVenv("python"), program("flask-authlib.py")];
    return startAt(place, command, { enter: "/login", leave: "/logout" });
  },
};

/** A program with no more than this repository has: on Node where it is there, else on Bun. */
export const openidClient = (algorithm: "RS256" | "ES256", kind: "confidential" | "public"): Party => ({
  name: `openid-client, ${kind}, ${algorithm}`,
  does: { groups: true, code: "pkce", issuer: true, refresh: true, logout: "rp", ends: "refresh" },
  client: (origin) => ({
    ...withOwnBye(origin, "/callback"),
    ...(kind === "public" ? { secret: undefined } : {}),
    algorithm,
  }),
  start(place) {
    const command = [Bun.which("node") ?? process.execPath, program("openid-client.mjs")];
    return startAt(place, command, { enter: "/login", leave: "/logout" }, { ALGORITHM: algorithm });
  },
});

export const expressOpenidConnect: Party = {
  name: "express-openid-connect",
  does: { groups: true, code: "pkce", issuer: true, refresh: true, logout: "rp", ends: "backchannel" },
  client: (origin) => ({
    ...withOwnBye(origin, "/callback"),
    backchannelLogoutUri: `${origin}/backchannel-logout`,
  }),
  start(place) {
    installNode();
    const command = ["node", program("express.cjs")];
    return startAt(place, command, { enter: "/login", leave: "/logout" }, nodePath);
  },
};

/** Asks again with `prompt=none` at each use after a second, and that is how it hears that a session has ended. */
export const mozillaDjangoOidc: Party = {
  name: "Django with mozilla-django-oidc",
  does: { groups: true, code: "pkce", issuer: false, refresh: false, logout: "rp", ends: "asks" },
  client: (origin) => withOwnBye(origin, "/oidc/callback/"),
  async start(place) {
    installPython();
    const command = [inVenv("python"), program("django-mozilla.py")];
    const party = await startAt(place, command, { enter: "/oidc/authenticate/", leave: "/oidc/logout/" });
    return {
      ...party,
      async who(person) {
        const page = await person.open(`${place.origin}/me`);
        if (page.url !== `${place.origin}/me` || page.status !== 200) return undefined;
        return JSON.parse(page.html) as Who;
      },
    };
  },
};

export const djangoAllauth: Party = {
  name: "Django with django-allauth",
  does: { groups: true, code: "pkce", issuer: false, refresh: false, logout: "own", ends: "never" },
  client: (origin) => withOwnBye(origin, "/accounts/oidc/runegate/login/callback/"),
  async start(place) {
    installPython();
    const { origin } = place;
    const paths = { enter: "/accounts/oidc/runegate/login/", leave: "/accounts/logout/" };
    const party = await startAt(place, [inVenv("python"), program("django-allauth.py")], paths);
    // Both are a page with a button.
    return {
      ...party,
      enter: async (person) => person.send(await person.open(origin + paths.enter), {}, posts),
      leave: async (person) => person.send(await person.open(origin + paths.leave), {}, posts),
    };
  },
};

const posts = ({ method }: { readonly method: string }) => method === "post";
