import { type Address, type Domain, domainOf } from "../identity/address.ts";
import { NO_GROUPS, type Principal } from "../identity/principal.ts";

/** Lists of people, as configuration writes them, and the groups they are in. */

export type People = {
  readonly addresses: ReadonlySet<Address>;
  /** Exact: a sub-domain is somebody else's mail server. */
  readonly domains: ReadonlySet<Domain>;
  readonly groups: ReadonlySet<string>;
  readonly services: ReadonlySet<string>;
  /** Every address that may sign in. */
  readonly anyone: boolean;
  /** Whoever comes, signed in or not. */
  readonly everybody: boolean;
};

export const NOBODY: People = {
  addresses: new Set(),
  domains: new Set(),
  groups: new Set(),
  services: new Set(),
  anyone: false,
  everybody: false,
};

/** The group whose members see the admin pages, and an application that is closed for maintenance. */
export const ADMINS = "admins";

export type Groups = ReadonlyMap<string, Pick<People, "addresses" | "domains">>;

/** More than that would not fit into a header that every application takes. */
const MOST_GROUPS = 50;

/** Whether somebody who has signed in is among them. */
export function includes(
  people: People,
  { subject, groups }: Pick<Principal, "subject" | "groups">,
): boolean {
  if (people.everybody) return true;
  if ("service" in subject) return people.services.has(subject.service);
  const { email } = subject;
  if (people.anyone || people.addresses.has(email) || people.domains.has(domainOf(email))) return true;
  for (const group of groups) if (people.groups.has(group)) return true;
  return false;
}

/** In alphabetical order, at most {@link MOST_GROUPS}. */
export function joined(some: Principal["groups"], others: Principal["groups"]): Principal["groups"] {
  return new Set([...new Set([...some, ...others])].sort().slice(0, MOST_GROUPS));
}

/** @returns the groups of an address, in alphabetical order, at most {@link MOST_GROUPS}. */
export function createGroupsOf(groups: Groups): (address: Address) => ReadonlySet<string> {
  if (groups.size === 0) return () => NO_GROUPS;
  const all = [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
  const namesOf = (isIn: (group: Pick<People, "addresses" | "domains">) => boolean): ReadonlySet<string> =>
    new Set(all.flatMap(([name, group]) => (isIn(group) ? name : [])).slice(0, MOST_GROUPS));
  const byAddress = new Map<Address, ReadonlySet<string>>();
  for (const address of new Set(all.flatMap(([, { addresses }]) => [...addresses])))
    byAddress.set(
      address,
      namesOf(({ addresses, domains }) => addresses.has(address) || domains.has(domainOf(address))),
    );
  const byDomain = new Map<Domain, ReadonlySet<string>>();
  for (const domain of new Set(all.flatMap(([, { domains }]) => [...domains])))
    byDomain.set(
      domain,
      namesOf(({ domains }) => domains.has(domain)),
    );
  return (address) => byAddress.get(address) ?? byDomain.get(domainOf(address)) ?? NO_GROUPS;
}
