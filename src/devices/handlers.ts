import type { AccountSection } from "../account/section.ts";
import { type Failure, page, Refusal, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import type { House, Room } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { createSpentTickets } from "../login/spent.ts";
import { said } from "../pages/language.ts";
import { ACCOUNT_PATH, loginHref } from "../pages/paths.ts";
import { createTickets, TicketError } from "../secret/ticket.ts";
import { shortId } from "../session/record.ts";
import { revokeAll } from "../session/revoke.ts";
import { DEVICE_FORGOTTEN, NOT_ME } from "./audit.ts";
import { devicesPart, notMeDonePage, notMePage } from "./pages.ts";
import { NOT_ME_LINK, type NotMe } from "./ticket.ts";

/** @param rooms all there are, each of which may have something that lets an address in. */
export function createDeviceHandlers(house: House, rooms: () => readonly Pick<Room, "disown">[]) {
  const { options, routes, sessions, sessionCookie, devices, guardPost, audit, clock } = house;
  const tickets = createTickets(house.keys, { audience: options.baseUrl, clock });
  const spent = createSpentTickets(house.stores, clock);

  /** @throws {Refusal} for a link that is not ours or too old, and for one that has done its work. */
  async function verified(token: string) {
    let ticket: Awaited<ReturnType<typeof tickets.verify<NotMe>>>;
    try {
      ticket = await tickets.verify(NOT_ME_LINK, token);
    } catch (error) {
      throw error instanceof TicketError ? new Refusal(NOT_GOOD) : error;
    }
    if ((await spent.useOf(ticket.jti)) !== undefined) throw new Refusal(USED);
    return ticket;
  }

  /** Whoever opens links, of their own accord or as a mail scanner, gets a page and no more. */
  async function ask(arrival: Arrival): Promise<Response> {
    const token = new URLSearchParams(arrival.target.search).get("token") ?? "";
    const { email } = await verified(token);
    return page(notMePage(arrival.lookOf(arrival), { email, token }));
  }

  /** Can be sent again until all of it is done. */
  async function act(arrival: Arrival): Promise<Response> {
    guardPost(arrival);
    const { token = "" } = await readFields(arrival.request);
    const { email, device, jti, expiresAt } = await verified(token);
    await sessions.holds.put(email);
    await revokeAll(house, email, () => "user");
    for (const room of rooms()) await room.disown?.(email);
    await devices.forget(device);
    await spent.spend(jti, expiresAt);
    audit(NOT_ME, { subject: email, client: arrival.client.ip });
    return page(notMeDonePage(arrival.lookOf(arrival), { email }));
  }

  async function forget(arrival: Arrival): Promise<Response> {
    guardPost(arrival);
    const found = await sessions.find(sessionCookie.read(arrival), arrival);
    if (found === undefined || arrival.origin !== routes.home.origin) {
      return redirect(303, loginHref(ACCOUNT_PATH));
    }
    const { device = "" } = await readFields(arrival.request);
    const email = found.record.email as Address;
    const named = (await devices.list(email)).find(({ id }) => shortId(id) === device);
    if (named !== undefined && (await devices.forget(named.id))) {
      audit(DEVICE_FORGOTTEN, { subject: email, client: arrival.client.ip });
    }
    return redirect(303, `${ACCOUNT_PATH}?done=forgotten`);
  }

  const section: AccountSection["show"] = async ({ arrival, found, look, done }) => {
    const all = await devices.list(found.record.email as Address);
    const notice = done === "forgotten" ? said("devices.forgotten") : undefined;
    if (all.length === 0) return undefined;
    return {
      heading: said("devices.heading"),
      content: devicesPart(look, all, devices.markOf(arrival), options.newDeviceMail),
      notice,
    };
  };

  return { ask, act, forget, section };
}

const NOT_GOOD: Failure = {
  status: 401,
  error: "invalid_token",
  title: said("link.failed"),
  message: said("link.invalid"),
};

const USED: Failure = {
  status: 410,
  error: "used",
  title: said("notMe.usedTitle"),
  message: said("notMe.used"),
};
