import { randomBytes } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "../support/certificate.ts";
import { live } from "./acts.ts";
import { createAdministrator } from "./administrator.ts";
import { startApplication } from "./application.ts";
import { ALLOWED, createGateway, type Gateway } from "./gateways.ts";
import { startPostOffice } from "./mail.ts";
import { createMischief } from "./mischief.ts";
import { RULES } from "./model.ts";
import { buildNetwork, OUTSIDE } from "./network.ts";
import type { SimulationOptions } from "./options.ts";
import { createChance } from "./random.ts";
import { startStore } from "./stores.ts";
import { createTroubles, HEALED_AFTER_MS } from "./troubles.ts";
import { createLedger, type World } from "./world.ts";

const GATEWAYS = 3;

export type Outcome = { readonly text: string; readonly violations: number };

export async function simulate(options: SimulationOptions, print: (line: string) => void): Promise<Outcome> {
  const { acts, seed, store: kind, people, calm } = options;
  print(`--acts ${acts} --store ${kind} --seed ${seed} --people ${people} --calm ${calm}`);
  const directory = mkdtempSync(join(tmpdir(), "runegate-simulation-"));
  const { fronts, store: machine } = await buildNetwork(GATEWAYS);
  const store = await startStore(kind, machine);
  const certificate = makeCertificate({ names: [], addresses: [OUTSIDE] });
  const authority = join(directory, "authority.pem");
  writeFileSync(authority, certificate.cert);
  const ledger = createLedger(print);
  const guests = new Map<string, number>();
  const onMail = (address: string) => {
    // What was sent before they were shut out may be on its way.
    const until = address.endsWith(`@${ALLOWED}`) ? Number.POSITIVE_INFINITY : guests.get(address);
    if (until === undefined) ledger.wrong(`a mail to ${address}, who is on no list`, []);
    else if (performance.now() > until + RULES.endsWithin)
      ledger.wrong(`a mail to ${address}, who is shut out`, []);
  };
  const onTwice = () => ledger.count("mail that came twice");
  const office = await startPostOffice(OUTSIDE, certificate, onMail, onTwice);
  const application = startApplication(OUTSIDE);
  const secrets = { jwt: randomBytes(32).toString("hex"), session: randomBytes(64).toString("hex") };
  const settings = { directory, store: store.location, secrets, authority };
  const [first, ...others] = fronts.map((front, index) => createGateway(index + 1, front, settings));
  if (first === undefined) throw new Error("there are no gateways");
  const gateways: [Gateway, ...Gateway[]] = [first, ...others];
  await Promise.all(gateways.map((gateway) => gateway.start()));
  const chance = createChance(seed);
  const troubles = createTroubles(() => performance.now());
  const administrator = createAdministrator(office, () => chance.pick(gateways));
  const world: World = {
    ...{ gateways, troubles, office, administrator, ledger, left: [], guests, later: new Set() },
  };
  const mischief = createMischief(gateways, store, troubles, seed, print);

  const begun = performance.now();
  let beat = begun;
  const heart = setInterval(() => {
    const now = performance.now();
    troubles.stall({ from: beat, to: now });
    beat = now;
  }, 50);
  let number = 0;
  const enough = () => ledger.acts() >= acts;
  const isBrief = acts < 20_000;
  let healed = false;
  const over = () => enough() && healed;
  const crowd = Array.from({ length: people }, async () => {
    while (!over()) await live(world, seed, number++, over);
  });
  await Bun.sleep(2_000);
  await (isBrief ? mischief.once() : mischief.goOn(calm, enough));
  // From then on nothing excuses anything: everything works again, for everybody.
  await Bun.sleep(HEALED_AFTER_MS + 3_000);
  healed = true;
  await Promise.all(crowd);
  await Promise.all(world.later);
  const seconds = (performance.now() - begun) / 1000;

  clearInterval(heart);
  application.stop();
  office.stop();
  await Promise.all(gateways.map((gateway) => gateway.kill()));
  await store.stop();
  return { violations: ledger.violations.length, text: tell(ledger, troubles.all, seconds, options) };
}

function tell(
  ledger: World["ledger"],
  troubles: World["troubles"]["all"],
  seconds: number,
  { seed, store }: SimulationOptions,
): string {
  const byKind = Map.groupBy(troubles, ({ what }) => what);
  const count = (what: string, n: number) => `  ${String(n).padStart(7)}  ${what}`;
  return [
    `${ledger.acts()} acts in ${seconds.toFixed(0)} s over ${store}, seed ${seed}.`,
    ...[...ledger.counts].sort(([a], [b]) => a.localeCompare(b)).map(([what, n]) => count(what, n)),
    "Troubles:",
    ...[...byKind].map(([what, all]) => count(what, all.length)),
    ledger.violations.length === 0
      ? "Every promise was held."
      : `${ledger.violations.length} violations:\n${ledger.violations.slice(0, 50).join("\n")}`,
  ].join("\n");
}
