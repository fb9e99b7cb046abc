import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childrenOf, kill, until } from "../../process/stage.ts";
import { freePort } from "../../support/process.ts";
import type { Party, Place, RunningParty } from "./party.ts";
import { createPerson, type Person } from "./person.ts";
import { type Provider, startProvider } from "./provider.ts";

/** What is held of every relying party: people who sign in with Runegate, and others who should not get in. */

const ADA = "ada@example.org";
const BOB = "bob@example.org";
const EVE = "eve@example.org";
/** Somebody else who is called like the first. */
const NAMESAKE = "ada@other.example";

/** As much patience as nobody needs but a program that hangs. */
const PATIENCE_MS = 30_000;

/** Declares the tests of some parties, all at one provider. */
export function holdParties(parties: readonly Party[]): void {
  let provider: Provider;
  const places = parties.map((party, index) => {
    const port = freePort();
    const origin = `http://localhost:${port}`;
    return { port, origin, client: { id: `party-${index}`, ...party.client(origin) } };
  });

  beforeAll(async () => {
    provider = await startProvider(places.map(({ client }) => client));
  });
  afterAll(async () => {
    await provider?.[Symbol.asyncDispose]();
  });

  for (const [index, party] of parties.entries()) {
    describe(party.name, () => {
      holdParty(
        party,
        () =>
          ({ ...places[index], provider }) as Omit<Place, "directory" | "issuer"> & { provider: Provider },
      );
    });
  }
}

type Site = Omit<Place, "directory" | "issuer"> & { readonly provider: Provider };

function holdParty(party: Party, site: () => Site): void {
  let running: RunningParty;
  let directory: string;
  let provider: Provider;
  let origin: string;

  beforeAll(async () => {
    const { provider: atThat, ...place } = site();
    provider = atThat;
    origin = place.origin;
    directory = mkdtempSync(join(tmpdir(), "runegate-party-"));
    running = await party.start({ ...place, directory, issuer: provider.issuer });
  });
  afterAll(async () => {
    if (running !== undefined) {
      end(running.process.pid);
      await running.process.exited;
    }
    rmSync(directory, { recursive: true, force: true });
  });

  const atProvider = (url: URL) => url.origin === provider.issuer;
  const atParty = (url: URL) => url.origin === origin;
  const expected = (email: string) => (party.does.groups ? { email, groups: ["staff"] } : { email });

  async function enter(person: Person, email: string): Promise<void> {
    const page = await running.enter(person);
    expect(new URL(page.url).origin).toBe(provider.issuer);
    const back = await provider.signIn(person, page, email);
    expect([new URL(back.url).origin, back.status]).toEqual([origin, back.status]);
    running.arrived?.(person, back);
  }

  async function open(person: Person, url: URL): Promise<void> {
    const page = await person.open(url.href);
    running.arrived?.(person, page);
  }

  async function signedIn(email = ADA): Promise<Person> {
    const person = createPerson();
    await enter(person, email);
    expect(await running.who(person)).toMatchObject(expected(email));
    return person;
  }

  /** Somebody who has begun a login at the party and has signed in at the provider, which has not heard of the login yet. */
  async function halfSignedIn(email: string): Promise<{ readonly person: Person; readonly asked: URL }> {
    const person = createPerson();
    const { hops } = await running.enter(person);
    const asked = hops.map((url) => new URL(url)).find(atProvider);
    if (asked === undefined) throw new Error(`not sent to the provider: ${hops.join(" → ")}`);
    await provider.signIn(person, await person.open(`${provider.issuer}/_runegate/login`), email);
    return { person, asked };
  }

  /** The same one step further: `back` is where the provider sends them, and is not opened yet. */
  async function almostSignedIn(email: string): Promise<{ readonly person: Person; readonly back: URL }> {
    const { person, asked } = await halfSignedIn(email);
    return { person, back: new URL(await person.until(asked.href, atParty)) };
  }

  test("a person signs in by mail, and is that address there, in their groups", async () => {
    const person = createPerson();
    expect(await running.who(person)).toBeUndefined();
    await enter(person, ADA);
    expect(await running.who(person)).toMatchObject(expected(ADA));
  });

  test("who is signed in at the provider is asked nothing", async () => {
    const person = await signedIn();
    person.forget("localhost");
    running.lost?.(person);
    expect(await running.who(person)).toBeUndefined();
    const page = await running.enter(person);
    expect(new URL(page.url).origin).toBe(origin);
    running.arrived?.(person, page);
    expect(await running.who(person)).toMatchObject(expected(ADA));
  });

  test("who may sign in there, but not use this party, is told so, and is nobody at the party", async () => {
    const person = createPerson();
    const page = await provider.signIn(person, await running.enter(person), EVE);
    running.arrived?.(person, page);
    expect(page.html).not.toBe("");
    expect(await running.who(person)).toBeUndefined();
    // Once more, now that they are known.
    const again = await running.enter(person);
    running.arrived?.(person, again);
    expect(await running.who(person)).toBeUndefined();
  });

  test("somebody of the same name in another domain is somebody else", async () => {
    const first = await signedIn();
    const person = createPerson();
    await enter(person, NAMESAKE);
    const who = await running.who(person);
    // Gitea asks for another name first.
    if (party.does.names === "short") expect(who).toBeUndefined();
    else expect(who).toMatchObject(expected(NAMESAKE));
    expect(await running.who(first)).toMatchObject(expected(ADA));
  });

  test("new keys at the provider end nobody's session, and no login fails", async () => {
    const before = await signedIn();
    await provider.rotateKeys();
    expect(await running.who(before)).toMatchObject(expected(ADA));
    await signedIn(BOB);
    await signedIn();
  });

  test.skipIf(!party.does.refresh)("asks for new tokens", async () => {
    const person = await signedIn();
    for (let times = 0; times < 3; times++) expect(await running.refresh?.(person)).toBe(true);
    expect(await running.who(person)).toMatchObject(expected(ADA));
  });

  test("leaves, and is asked again if the party signs out at the provider too", async () => {
    const person = await signedIn();
    await provider.confirmLogout(person, await running.leave(person));
    expect(await running.who(person)).toBeUndefined();
    const page = await running.enter(person);
    const asked = new URL(page.url).origin === provider.issuer;
    expect(asked).toBe(party.does.logout === "rp");
  });

  test(`a session that is ended at the provider ${ENDS[party.does.ends]}`, async () => {
    const person = await signedIn();
    const other = await signedIn(BOB);
    await provider.endSessions(ADA);
    const isGone = async () => (await running.who(person)) === undefined;
    if (party.does.ends === "refresh") expect(await running.refresh?.(person)).toBe(false);
    else if (party.does.ends === "never") expect(await isGone()).toBe(false);
    else await until("nobody is signed in", isGone, PATIENCE_MS);
    expect(await running.who(other)).toMatchObject(expected(BOB));
  });

  describe("attacks", () => {
    test("a login that somebody else began is not finished", async () => {
      const { back } = await almostSignedIn(BOB);
      const victim = createPerson();
      await open(victim, back);
      expect(await running.who(victim)).toBeUndefined();
    });

    test(`somebody else's code is ${party.does.code === "free" ? "not told from one's own" : "worth nothing in one's own login"}`, async () => {
      const { back: stolen } = await almostSignedIn(BOB);
      const { person, back } = await almostSignedIn(ADA);
      back.searchParams.set("code", stolen.searchParams.get("code") ?? "");
      await open(person, back);
      const who = await running.who(person);
      // A provider cannot tell either, where the party says nothing of the login that the code is for.
      if (party.does.code === "free") expect(who).toMatchObject(expected(BOB));
      else expect(who).toBeUndefined();
    });

    test("an answer without its state signs nobody in", async () => {
      const { person, back } = await almostSignedIn(ADA);
      back.searchParams.delete("state");
      await open(person, back);
      expect(await running.who(person)).toBeUndefined();
    });

    test(`an answer in the name of another provider is ${party.does.issuer ? "refused" : "not told from one of ours"}`, async () => {
      const { person, back } = await almostSignedIn(ADA);
      back.searchParams.set("iss", "https://evil.example");
      await open(person, back);
      const who = await running.who(person);
      // What it is given then is a code of ours, which it takes to us: nobody else hears of it.
      if (party.does.issuer) expect(who).toBeUndefined();
      else expect(who).toMatchObject(expected(ADA));
    });

    test("a code is worth something once", async () => {
      const { person, back } = await almostSignedIn(ADA);
      await open(person, back);
      expect(await running.who(person)).toMatchObject(expected(ADA));
      const other = createPerson();
      await open(other, back);
      expect(await running.who(other)).toBeUndefined();
    });

    test.skipIf(party.does.code !== "pkce")(
      "a login whose challenge was taken out on the way fails",
      async () => {
        const { person, asked } = await halfSignedIn(ADA);
        for (const name of ["code_challenge", "code_challenge_method"]) asked.searchParams.delete(name);
        await open(person, asked);
        expect(await running.who(person)).toBeUndefined();
      },
    );

    test("the provider sends a code nowhere but to the address that is declared", async () => {
      const { person, asked } = await halfSignedIn(ADA);
      const declared = asked.searchParams.get("redirect_uri") ?? "";
      for (const wrong of [
        ...[`${declared}/`, `${declared}?a=1`, `${declared}#a`, `${declared}/../x`, `${declared}%2f..`],
        ...[declared.replace("localhost", "127.0.0.1"), declared.replace("localhost", "LOCALHOST")],
        ...[declared.replace(/:\d+/, ""), declared.replace("http:", "https:"), "https://evil.example/"],
        ...[
          declared.replace("//", "//evil.example@"),
          declared.replace("localhost", "localhost.evil.example"),
        ],
      ]) {
        asked.searchParams.set("redirect_uri", wrong);
        const response = await person.ask(asked.href);
        expect([wrong, response.status, response.headers.get("location")]).toEqual([wrong, 400, null]);
      }
    });
  });
}

const ENDS: Readonly<Record<Party["does"]["ends"], string>> = {
  backchannel: "ends there at once, which it is told",
  refresh: "gives no new tokens any more",
  asks: "ends there when it asks next",
  never: "goes on there, for it is not told and does not ask",
};

/** With whatever it has started. */
function end(pid: number): void {
  const children = childrenOf(pid);
  kill(pid, "SIGKILL");
  children.forEach(end);
}
