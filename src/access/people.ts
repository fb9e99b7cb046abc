import { type Address, type Domain, domainOf } from "../identity/address.ts";
import { NO_GROUPS, nameOf, type Principal, type Subject } from "../identity/principal.ts";

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

export type Group = Pick<People, "addresses" | "domains" | "services">;
export type Groups = ReadonlyMap<string, Group>;

/** Whether somebody who has signed in is among them. */
export function includes(
  people: People,
  { subject, groups }: Pick<Principal, "subject" | "groups">,
): boolean {
  const isNamed =
    "service" in subject
      ? people.services.has(subject.service)
      : people.anyone || people.addresses.has(subject.email) || people.domains.has(domainOf(subject.email));
  return people.everybody || isNamed || !groups.isDisjointFrom(people.groups);
}

/** All, in alphabetical order; besides those of configuration, what somebody else has vouched for. */
export type GroupsOf = (subject: Subject, vouched?: ReadonlySet<string>) => ReadonlySet<string>;

export function createGroupsOf(groups: Groups): GroupsOf {
  const sorted = [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
  const all = sorted.map(([name, group]) => ({ name, members: membersOf(group) }));
  const byMember = new Map<string, ReadonlySet<string>>();
  for (const one of new Set(all.flatMap(({ members }) => [...members]))) {
    const theirs = all.filter(({ members }) => members.has(one) || members.has(domainIn(one)));
    byMember.set(one, new Set(theirs.map(({ name }) => name)));
  }
  const find = (name: string) => byMember.get(name) ?? byMember.get(domainIn(name)) ?? NO_GROUPS;
  return (subject, vouched = NO_GROUPS) => {
    const listed = find(nameOf({ subject }));
    if (vouched.size === 0) return listed;
    return new Set([...listed.union(vouched)].sort());
  };
}

/** Addresses, domains and services, none of which is called as one of another kind. */
function membersOf({ addresses, domains, services }: Group): ReadonlySet<string> {
  const named = Array.from(services, (service) => nameOf({ subject: { service } }));
  return new Set([...addresses, ...domains, ...named]);
}

/** Of an address; what is none is in no other domain than itself. */
const domainIn = (member: string) => member.slice(member.indexOf("@") + 1);
