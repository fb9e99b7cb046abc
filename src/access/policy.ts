import type { Address } from "../identity/address.ts";
import { NO_GROUPS } from "../identity/principal.ts";
import type { AccessOptions } from "./options.ts";
import {
  ADMINS,
  createGroupsOf,
  type Groups,
  type GroupsOf,
  includes,
  NOBODY,
  type People,
} from "./people.ts";

/** Which addresses may sign in, and stay signed in (CONTRACT section 4), and which groups they are in. */
export type Policy = {
  allows(address: Address, vouched?: ReadonlySet<string>): boolean;
  groupsOf: GroupsOf;
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
  // "Anyone" is anyone of those that some list names.
  const lists = routes.flatMap(({ allow }) => (allow ? { ...allow, anyone: false, everybody: false } : []));
  return {
    allows(address, vouched) {
      if (includes(listed, { subject: { email: address }, groups: NO_GROUPS })) return true;
      const subject = { email: address };
      const who = { subject, groups: groupsOf(subject, vouched) };
      // Not every group: one may be named to be kept out.
      return who.groups.has(ADMINS) || lists.some((people) => includes(people, who));
    },
    groupsOf,
  };
}
