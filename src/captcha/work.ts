import workSource from "../../static/captcha-work.html" with { type: "text" };
import type { House } from "../house.ts";
import { limitKeysOf } from "../net/ip.ts";
import { MINUTE } from "../option/values.ts";
import { assetPath } from "../pages/assets.ts";
import { plain } from "../pages/template.ts";
import { createTickets, type Grant, TicketError, type TicketKind, text } from "../secret/ticket.ts";
import type { Kind } from "../store/records.ts";
import type { Captcha } from "./captcha.ts";

/**
 * Proof of work: a number is to be found with which the SHA-256 of `<salt>.<number>` begins with so many zero bits. The challenge is
 * a ticket, so nothing is kept until it is solved; its id is the salt, which is good once.
 */
export type Challenge = {
  readonly bits: number;
  /** The address or network that the limits count it by: work is not done in one place for many. */
  readonly network: string;
};

export const WORK: TicketKind<Challenge> = {
  typ: "runegate-work+jwt",
  write: ({ bits, network }) => ({ sub: network, bits }),
  read({ bits, sub }) {
    if (typeof bits !== "number") throw new TicketError("claims");
    return { bits, network: text(sub) };
  },
};

/** Long enough to type an address and to be called away, short enough that little can be hoarded. */
export const CHALLENGE_MS = 10 * MINUTE;
/** A tenth of a second in a browser while nothing is used; one bit more, which is twice the work, with each quarter that is. */
const BITS = 16;
const MORE_BITS = 4;

export const bitsFor = (share: number) => BITS + Math.floor(Math.min(1, share) * MORE_BITS);

export const SOLVED: Kind<Record<never, never>> = { name: "work", once: true };

const part = plain(workSource, ["worker", "script"]);

export function createWork(house: Pick<House, "options" | "keys" | "stores" | "clock" | "random">): Captcha {
  const { options, keys, stores, clock, random } = house;
  const tickets = createTickets(keys, { audience: options.baseUrl, clock });
  const solved = stores.records(SOLVED);
  const html = part({ worker: assetPath("captcha-worker.js"), script: assetPath("captcha.js") });

  return {
    field: "captcha",
    part: () => ({ html }),

    offer({ ip }, share) {
      const bits = bitsFor(share);
      const jti = Buffer.from(random.bytes(16)).toString("base64url");
      const issuedAt = clock.now();
      const [network] = limitKeysOf(ip);
      const ticket = { bits, network, jti, issuedAt, expiresAt: issuedAt + CHALLENGE_MS };
      return { challenge: tickets.sign(WORK, ticket), salt: jti, bits, good_seconds: CHALLENGE_MS / 1000 };
    },

    /** @param answer `<number>.<challenge>` */
    async check(answer, { ip }) {
      const [, number, token] = /^(\d{1,15})\.(.+)$/.exec(answer) ?? [];
      if (number === undefined || token === undefined) return { refused: "malformed" };
      let challenge: Challenge & Grant;
      try {
        challenge = await tickets.verify(WORK, token);
      } catch (error) {
        if (error instanceof TicketError) return { refused: error.problem };
        throw error;
      }
      const { jti, bits, network, expiresAt } = challenge;
      if (network !== limitKeysOf(ip)[0]) return { refused: "other_client" };
      if (zeroBits(Bun.SHA256.hash(`${jti}.${number}`) as Uint8Array) < bits) return { refused: "unsolved" };
      return (await solved.add(jti, {}, expiresAt, "light")) ? "good" : { refused: "spent" };
    },
  };
}

/** How many a hash begins with, up to 32. */
function zeroBits(hash: Uint8Array): number {
  return Math.clz32(new DataView(hash.buffer, hash.byteOffset).getUint32(0));
}
