import type { Guest, GuestResult } from './guest.ts'

/** Seconds to wait for a by-path link, and for a multipath map. Kubelet waits 10, on nodes that nobody emulates. */
const PATH_WAIT_S = 30
const ATTEMPTS_MIN = 2
const ATTEMPTS_MAX = 5
const PATHS_FOR_MULTIPATH = 2

export interface KubeletVolume {
  readonly name: string
  readonly iqn: string
  readonly portals: readonly string[]
  readonly lun: number
  /** Gives the volume an iface of its own. */
  readonly initiatorName?: string
  readonly sessionChap?: Readonly<Record<string, string>>
  readonly discoveryChap?: Readonly<Record<string, string>>
}

/**
 * What kubelet's in-tree iSCSI plugin runs on a node, command for command and in its order
 * (Kubernetes, pkg/volume/iscsi/iscsi_util.go and the mounter's FormatAndMount).
 */
export class Kubelet {
  /** Commands so far, in order, for a look at what went wrong. */
  readonly history: string[] = []
  readonly #guest: Guest

  constructor(guest: Guest) {
    this.#guest = guest
  }

  /** Attaches and returns the device to use: the multipath map where there is one. Throws when no path appears. */
  async attach(volume: KubeletVolume): Promise<string> {
    await this.#must('iscsiadm -m iface -I default -o show')
    const iface = await this.#iface(volume)
    const paths = new Map<string, string>()
    let lastError = ''
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      for (const portal of volume.portals) {
        if (paths.has(portal)) continue
        const outcome = await this.#attachPath(volume, portal, iface)
        if ('path' in outcome) paths.set(portal, outcome.path)
        else lastError = outcome.error
      }
      if (paths.size === 0) {
        await this.#run(`iscsiadm -m iface -I ${iface} -o delete`)
        throw new Error(`no path to ${volume.iqn}: ${lastError}`)
      }
      if (paths.size === volume.portals.length) break
      if (paths.size >= PATHS_FOR_MULTIPATH && attempt >= ATTEMPTS_MIN) break
    }
    const links = [...paths.values()]
    const map = await this.#multipathMap(links, volume.portals.length > 1 ? PATH_WAIT_S : 1)
    return map ?? links[0]!
  }

  /** Formats a disk that holds nothing, checks one that does, and mounts it. */
  async formatAndMount(
    device: string,
    at: string,
    options: { readonly readOnly?: boolean } = {},
  ): Promise<void> {
    await this.#must(`mkdir -p ${at}`)
    const mountOptions = options.readOnly === true ? 'ro,defaults' : 'defaults'
    const held = await this.#run(`blkid -p -s TYPE -s PTTYPE -o export ${device}`)
    // blkid(8): 2 is that nothing was found.
    if (held.code === 2) {
      if (options.readOnly === true) throw new Error('a read-only disk that was never formatted')
      await this.#must(`mkfs.ext4 -F -m0 ${device}`)
    } else if (held.code !== 0) throw new Error(`blkid ended with ${held.code}: ${held.output}`)
    else if (options.readOnly !== true) {
      const checked = await this.#run(`fsck -a ${device}`)
      if (checked.code > 1) throw new Error(`fsck ended with ${checked.code}: ${checked.output}`)
    }
    await this.#must(`mount -t ext4 -o ${mountOptions} ${device} ${at}`)
  }

  /** Unmounts where mounted, deletes the disks, logs out of every portal and forgets the records. */
  async detach(volume: KubeletVolume, at?: string): Promise<void> {
    if (at !== undefined) await this.#must(`umount ${at}`)
    const links = volume.portals.map(portal => linkOf(volume, portal))
    const disks = (await this.#must(`for l in ${links.join(' ')}; do readlink -f $l; done`)).split('\n')
    const map = await this.#multipathMap(links, 1)
    if (map !== null) await this.#run(`multipath -f ${map}`)
    for (const disk of new Set(disks)) {
      await this.#run(`test ! -e ${disk} || echo 1 > /sys/block/${disk.slice(5)}/device/delete`)
    }
    const iface = volume.initiatorName === undefined ? 'default' : ifaceOf(volume)
    for (const portal of volume.portals) {
      const node = `iscsiadm -m node -p ${portal} -T ${volume.iqn}`
      await this.#run(`${node} --logout -I ${iface}`)
      await this.#run(`${node} -o delete -I ${iface}`)
    }
    if (volume.initiatorName !== undefined) await this.#must(`iscsiadm -m iface -I ${iface} -o delete`)
  }

  async #iface(volume: KubeletVolume): Promise<string> {
    if (volume.initiatorName === undefined) return 'default'
    const name = ifaceOf(volume)
    const shown = await this.#must('iscsiadm -m iface -I default -o show')
    await this.#must(`iscsiadm -m iface -I ${name} -o new`)
    const parameters = new Map(
      [...shown.matchAll(/^(iface\.\S+) = (\S+)$/gm)]
        .filter(([, key, value]) => key !== 'iface.iscsi_ifacename' && value !== '<empty>')
        .map(([, key, value]) => [key!, value!]),
    )
    parameters.set('iface.initiatorname', volume.initiatorName)
    for (const [key, value] of parameters)
      await this.#must(`iscsiadm -m iface -I ${name} -o update -n ${key} -v ${value}`)
    return name
  }

  async #attachPath(
    volume: KubeletVolume,
    portal: string,
    iface: string,
  ): Promise<{ readonly path: string } | { readonly error: string }> {
    if ((await this.#scsiHost(volume.iqn, portal)) === null) {
      const error = await this.#login(volume, portal, iface)
      if (error !== null) return { error }
    }
    const host = await this.#scsiHost(volume.iqn, portal)
    if (host === null) return { error: `no SCSI host for ${portal} after the login` }
    await this.#must(`echo "0 0 ${volume.lun}" > /sys/class/scsi_host/${host}/scan`)
    const path = linkOf(volume, portal)
    for (let second = 0; second < PATH_WAIT_S; second++) {
      if ((await this.#run(`test -e ${path} || { sleep 1; false; }`)).code === 0) return { path }
    }
    return { error: `no ${path} after ${PATH_WAIT_S} s` }
  }

  /** Null, or why there is no session. */
  async #login(volume: KubeletVolume, portal: string, iface: string): Promise<string | null> {
    const discovery = `iscsiadm -m discoverydb -t sendtargets -p ${portal} -I ${iface}`
    const node = `iscsiadm -m node -p ${portal} -T ${volume.iqn} -I ${iface}`
    await this.#run(`${discovery} -o new`)
    const refused = await this.#update(
      discovery,
      chapSettings('discovery.sendtargets.auth', volume.discoveryChap),
    )
    if (refused !== null) return refused
    const discovered = await this.#run(`${discovery} --discover`)
    if (discovered.code !== 0) {
      await this.#run(`${discovery} -o delete`)
      return `discovery at ${portal} ended with ${discovered.code}: ${discovered.output}`
    }
    await this.#run(`${node} -o update -n node.session.scan -v manual`)
    const noRecord = await this.#update(node, chapSettings('node.session.auth', volume.sessionChap))
    if (noRecord !== null) return noRecord
    const login = await this.#run(`${node} --login`)
    if (login.code !== 0) {
      await this.#run(`${node} -o delete`)
      return `login at ${portal} ended with ${login.code}: ${login.output}`
    }
    await this.#run(`iscsiadm -m node -p ${portal} -T ${volume.iqn} -o update -n node.startup -v manual`)
    return null
  }

  /** Null, or why a record does not take its settings. */
  async #update(record: string, settings: readonly (readonly [string, string])[]): Promise<string | null> {
    for (const [key, value] of settings) {
      const { code, output } = await this.#run(`${record} -o update -n ${key} -v '${value}'`)
      if (code !== 0) return `${record} does not take ${key}: ${output}`
    }
    return null
  }

  /** The SCSI host of a session, found in sysfs by its target's name, its address and its port. */
  async #scsiHost(iqn: string, portal: string): Promise<string | null> {
    const [address, port] = portal.split(':')
    const { output } = await this.#run(`for host in /sys/class/iscsi_host/host*; do
        for session in $host/device/session*; do
          test "$(cat $session/iscsi_session/*/targetname)" = ${iqn} || continue
          for connection in $session/connection*/iscsi_connection/*; do
            test "$(cat $connection/persistent_address $connection/persistent_port)" = $'${address}\\n${port}' &&
              test "$(cat $connection/address $connection/port)" = $'${address}\\n${port}' && basename $host
          done
        done
      done 2> /dev/null`)
    return /^host\d+$/m.exec(output)?.[0] ?? null
  }

  /** The dm device that holds the disk behind one of `links`, waited for up to `tries` seconds. */
  async #multipathMap(links: readonly string[], tries: number): Promise<string | null> {
    const { output } = await this.#run(`for i in $(seq ${tries}); do
        for link in ${links.join(' ')}; do
          for slave in /sys/block/dm-*/slaves/$(basename $(readlink -f $link)); do
            test -e $slave && echo /dev/$(echo $slave | cut -d/ -f4) && exit
          done
        done
        test $i = ${tries} || sleep 1
      done`)
    return /^\/dev\/dm-\d+$/m.exec(output)?.[0] ?? null
  }

  #run(command: string): Promise<GuestResult> {
    this.history.push(command)
    return this.#guest.run(command, { timeoutS: 150 })
  }

  async #must(command: string): Promise<string> {
    const { code, output } = await this.#run(command)
    if (code !== 0) throw new Error(`${command} ended with ${code}: ${output}`)
    return output.trim()
  }
}

const ifaceOf = (volume: KubeletVolume): string => `${volume.portals[0]}:${volume.name}`

const linkOf = (volume: KubeletVolume, portal: string): string =>
  `/dev/disk/by-path/ip-${portal}-iscsi-${volume.iqn}-lun-${volume.lun}`

/** Kubernetes' secret has the same keys as the records of open-iscsi. */
function chapSettings(
  prefix: string,
  secret: Readonly<Record<string, string>> | undefined,
): readonly (readonly [string, string])[] {
  if (secret === undefined) return []
  const keys = Object.entries(secret).map(([key, value]) => [`${prefix}.${key}`, value] as const)
  return [[`${prefix}.authmethod`, 'CHAP'], ...keys]
}
