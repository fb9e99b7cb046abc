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

type Group = Pick<People, "addresses" | "domains">;
export type Groups = ReadonlyMap<string, Group>;

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

/** In alphabetical order, at most {@link MOST_GROUPS}; besides those of configuration, what somebody else has vouched for. */
export type GroupsOf = (address: Address, vouched?: Principal["groups"]) => Principal["groups"];

export function createGroupsOf(groups: Groups): GroupsOf {
  const all = [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
  const setOf = (names: readonly string[]): ReadonlySet<string> => new Set(names.slice(0, MOST_GROUPS));
  /** By address, and by domain for those that are in no group by themselves. */
  const named = new Map<Address | Domain, ReadonlySet<string>>();
  for (const who of all.flatMap(([, { addresses, domains }]) => [...addresses, ...domains])) {
    const isIn = ({ addresses, domains }: Group) =>
      addresses.has(who as Address) || domains.has(domainOf(who as Address));
    named.set(who, setOf(all.flatMap(([name, group]) => (isIn(group) ? name : []))));
  }
  return (address, vouched = NO_GROUPS) => {
    const listed = named.get(address) ?? named.get(domainOf(address)) ?? NO_GROUPS;
    return vouched.size === 0 ? listed : setOf([...listed.union(vouched)].sort());
  };
}
