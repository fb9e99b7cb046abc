import { type Address, domainOf } from "../identity/address.ts";
import type { Subject } from "../identity/principal.ts";
import type { AccessOptions } from "./options.ts";
import { ADMINS, createGroupsOf, type Groups, includes, NOBODY, type People } from "./people.ts";

/** Which addresses may sign in, and stay signed in (CONTRACT section 4), and which groups they are in. */
export type Policy = {
  allows(address: Address): boolean;
  /** In alphabetical order. */
  groupsOf(subject: Subject): ReadonlySet<string>;
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
  groups: Groups = new Map(),
  routes: readonly { readonly allow: People | undefined }[] = [],
): Policy {
  const groupsOf = createGroupsOf(groups);
  const listed = listedIn(options);
  const lists = routes.flatMap(({ allow }) => allow ?? []);
  const anyList = lists.length > 0;
  const inList = (address: Address) => {
    const who = { subject: { email: address }, groups: groupsOf({ email: address }) };
    // "Anyone" is anyone of those that some list names.
    return lists.some((people) => includes({ ...people, anyone: false, everybody: false }, who));
  };
  return {
    allows: (address) =>
      listed.anyone ||
      listed.addresses.has(address) ||
      listed.domains.has(domainOf(address)) ||
      (anyList && inList(address)) ||
      // Not every group: one may be named to be kept out.
      groupsOf({ email: address }).has(ADMINS),
    groupsOf,
  };
}
