import type { Policy } from "../access/policy.ts";
import type { Clock, Random } from "../clock.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { Hooks } from "../hooks/hooks.ts";
import type { Address } from "../identity/address.ts";
import type { LanguageChoice } from "../language/choice.ts";
import type { Outbox } from "../mail/outbox.ts";
import { networkOfClient } from "../net/ip.ts";
import type { Audit } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import type { Keys } from "../secret/keys.ts";
import { createTickets } from "../secret/ticket.ts";
import { agentOf, describeDevice, recognizeDevice } from "../session/device.ts";
import type { SessionRecord } from "../session/record.ts";
import type { Store } from "../store/store.ts";
import { NEW_DEVICE } from "./audit.ts";
import { DEVICE_BYTES, type DeviceCookie } from "./cookie.ts";
import { newDeviceNotice } from "./notice.ts";
import { createDeviceBook, type DeviceBook, type Noted } from "./record.ts";
import { NOT_ME_LINK } from "./ticket.ts";

/** Browsers that people have signed in with: to tell them of one that they have not, and to fill in their address. */
export type Devices = Pick<DeviceBook, "list" | "forget"> & {
  /**
   * To be called by whatever signs people in, where they do so, once the session stands: notes the browser, and has its owner told
   * if it is new to them. Never rejects: that none of this can be done keeps nobody out.
   * @returns `Set-Cookie` lines.
   */
  signedIn(arrival: Arrival, record: SessionRecord): Promise<string[]>;
  /** What to fill in for whoever comes back: the address of the last sign-in with this browser. Never rejects. */
  lastAddress(arrival: Arrival): Promise<Address | undefined>;
  /** {@link DeviceRecord.device} of the browser that asks. */
  markOf(arrival: Arrival): string | undefined;
  /** In which somebody was last answered when they signed in. @throws {StoreUnavailable} */
  languageOf(email: string): Promise<string | undefined>;
};

export type DeviceSettings = {
  readonly newDeviceMail: boolean;
  readonly baseUrl: string;
  readonly cookie: DeviceCookie;
  readonly keys: Keys;
  readonly store: Store;
  readonly policy: Policy;
  readonly outbox: Outbox;
  readonly hooks: Pick<Hooks, "tell">;
  readonly languages: LanguageChoice;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
};

const DAY_MS = 24 * 60 * 60_000;
/** Mails a day to one address: whoever clears their cookies each time hears of it no more often. */
const MAILS = { limit: 3, windowMs: DAY_MS };
/** For as long as a mail like this lies unread, and is still of use. */
const LINK_MS = 7 * DAY_MS;

export function createDevices(settings: DeviceSettings): Devices {
  const { baseUrl, cookie, keys, store, policy, outbox, languages, audit, clock, random, log } = settings;
  const book = createDeviceBook(store, keys.for("device", "session"), clock);
  const tickets = createTickets(keys, { audience: baseUrl, clock });
  const draw = () => Buffer.from(random.bytes(DEVICE_BYTES)).toString("base64url");

  /** @returns what became of it. */
  async function tell(
    { lookOf, ...arrival }: Arrival,
    { email, ip, userAgent, createdAt }: SessionRecord,
    { id, language }: Noted,
  ) {
    if (!settings.newDeviceMail) return "off";
    if (!(await store.limits.hit(`device-mail:${email}`, MAILS)).allowed) return "limited";
    // Not that of a browser which may be somebody else's.
    const look = { ...lookOf(arrival), language: await languages.usual(language) };
    const issuedAt = clock.now();
    const grant = { jti: draw(), issuedAt, expiresAt: issuedAt + LINK_MS };
    const token = tickets.sign(NOT_ME_LINK, { ...grant, email: email as Address, device: id });
    const content = newDeviceNotice(look, {
      ...{ email, at: createdAt },
      where: `${networkOfClient(ip)}, ${describeDevice(look.language, recognizeDevice(userAgent))}`,
      url: `${baseUrl}${OWN_PREFIX}/not-me?token=${token}`,
    });
    const terms = { expiresAt: issuedAt + DAY_MS, cooldownKey: undefined, first: true };
    const mail = { to: email, kind: "new-browser", content, ...terms };
    return (await outbox.queue(mail)) ? "queued" : "queue_full";
  }

  return {
    list: book.list,
    forget: book.forget,

    markOf(arrival) {
      const value = cookie.read(arrival);
      return value === undefined ? undefined : book.markOf(value);
    },

    async signedIn(arrival, record) {
      const before = cookie.read(arrival);
      const value = before ?? draw();
      const { email, ip, userAgent, id: session, brief, method } = record;
      try {
        const { tag } = arrival.lookOf(arrival).language;
        const noted = await book.note(value, email as Address, { userAgent, language: tag });
        if (noted.was === "new") {
          const { id: request, client } = arrival;
          await settings.hooks.tell("new_device", { email, method, login: session, client, request });
          audit(NEW_DEVICE, {
            subject: email,
            ...{ client: ip, agent: agentOf(userAgent), request: arrival.id },
            session,
            reason: await tell(arrival, record, noted),
          });
        }
      } catch (error) {
        log.warn("could not note a device", { reason: messageOf(error), id: arrival.id });
      }
      // One that is to last is not made to end with the browser.
      return brief && before !== undefined ? [] : [cookie.line(value, brief)];
    },

    async languageOf(email) {
      const [last] = await book.list(email as Address);
      return last?.record.language;
    },

    async lastAddress(arrival) {
      const value = cookie.read(arrival);
      if (value === undefined) return undefined;
      try {
        const email = (await book.lastOf(value))?.email as Address | undefined;
        return email !== undefined && policy.allows(email) ? email : undefined;
      } catch (error) {
        log.debug("could not look for a device", { reason: messageOf(error), id: arrival.id });
        return undefined;
      }
    },
  };
}
