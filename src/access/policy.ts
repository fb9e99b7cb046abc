import { type Address, domainOf } from "../identity/address.ts";
import { NO_GROUPS, type Principal } from "../identity/principal.ts";
import type { AccessOptions } from "./options.ts";
import {
  ADMINS,
  createGroupsOf,
  type Groups as GroupLists,
  includes,
  joined,
  NOBODY,
  type People,
} from "./people.ts";

type Groups = Principal["groups"];

/** Which addresses may sign in, and stay signed in (CONTRACT section 4), and which groups they are in. */
export type Policy = {
  /** @param more groups that somebody else has vouched for, besides those that configuration lists it in. */
  allows(address: Address, more?: Groups): boolean;
  /** In alphabetical order. */
  groupsOf(address: Address, more?: Groups): Groups;
};

/** What the environment says of who may sign in. */
export function listedIn(options: Omit<AccessOptions, "routes">): People {
  const { allowedEmails, allowedDomains, allowAnyEmail } = options;
  return { ...NOBODY, addresses: allowedEmails, domains: allowedDomains, anyone: allowAnyEmail };
}

/**
 * @param routes who may use one of several applications may also sign in, and administrators may.
 */
export function createPolicy(
  options: Omit<AccessOptions, "routes">,
  groups: GroupLists = new Map(),
  routes: readonly { readonly allow: People | undefined }[] = [],
): Policy {
  const listedGroups = createGroupsOf(groups);
  const groupsOf: Policy["groupsOf"] = (address, more = NO_GROUPS) =>
    more.size === 0 ? listedGroups(address) : joined(listedGroups(address), more);
  const listed = listedIn(options);
  const lists = routes.flatMap(({ allow }) => allow ?? []);
  const anyList = lists.length > 0;
  const inList = (address: Address, more?: Groups) => {
    const who = { subject: { email: address }, groups: groupsOf(address, more) };
    // "Anyone" is anyone of those that some list names.
    return lists.some((people) => includes({ ...people, anyone: false, everybody: false }, who));
  };
  return {
    allows: (address, more) =>
      listed.anyone ||
      listed.addresses.has(address) ||
      listed.domains.has(domainOf(address)) ||
      (anyList && inList(address, more)) ||
      // Not every group: one may be named to be kept out.
      groupsOf(address, more).has(ADMINS),
    groupsOf,
  };
}
