import { IQN_PREFIX } from '../../lib/daemon.ts'
import type { Guest } from './guest.ts'
import { PORTALS } from './section.ts'

export interface AttachOptions {
  readonly portal?: string
  readonly lun?: number
  /** Settings of the node record, as in iscsid.conf. */
  readonly settings?: Readonly<Record<string, string>>
}

/** The name that udev gives a disk of an iSCSI session. */
export function byPath(name: string, { portal = PORTALS[0], lun = 0 }: AttachOptions = {}): string {
  return `/dev/disk/by-path/ip-${portal}-iscsi-${IQN_PREFIX}${name}-lun-${lun}`
}

/** `iscsiadm -m node` for a target of ours. */
export function node(name: string, rest: string, portal: string = PORTALS[0]): string {
  return `iscsiadm -m node -T ${IQN_PREFIX}${name} -p ${portal} ${rest}`
}

/** Script: a new node record with these settings. */
export function recordScript(
  name: string,
  { portal = PORTALS[0], settings = {} }: AttachOptions = {},
): string {
  const updates = Object.entries(settings).map(([key, value]) =>
    node(name, `-o update -n '${key}' -v '${value}'`, portal),
  )
  // Discovery may have left a record of the same portal, and a login would mean both.
  const forget = `${node(name, '-o delete', portal)} > /dev/null 2>&1 || true`
  return ['set -e', forget, node(name, '-o new', portal), ...updates].join('\n')
}

/** Logs in and waits for the disk; returns its kernel name, such as /dev/sda. */
export async function attach(guest: Guest, name: string, options: AttachOptions = {}): Promise<string> {
  await guest.succeed(`${recordScript(name, options)}\n${node(name, '--login', options.portal)}`)
  return diskOf(guest, byPath(name, options))
}

/** Waits for a link of udev's and follows it. */
export function diskOf(guest: Guest, link: string): Promise<string> {
  return guest.eventually(`test -b ${link} && readlink -f ${link}`)
}

/** Logs out and forgets the node record. */
export async function detach(guest: Guest, name: string, portal?: string): Promise<void> {
  await guest.succeed(`${node(name, '--logout', portal)} && ${node(name, '-o delete', portal)}`)
}
