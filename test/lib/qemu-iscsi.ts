import { type Daemon, IQN_PREFIX } from './daemon.ts'
import { type ProgramResult, run, succeed } from './programs.ts'

export interface QemuIscsiOptions {
  readonly user?: string
  readonly secret?: string
  readonly headerDigest?: 'none' | 'crc32c'
  readonly portal?: number
}

/** `--object` for the secret and the `driver=iscsi,…` string that qemu's tools take for a volume. */
function describe(
  daemon: Daemon,
  volume: string,
  options: QemuIscsiOptions,
): { objects: string[]; image: string } {
  const fields = [
    'driver=iscsi',
    'transport=tcp',
    `portal=${daemon.iscsi[options.portal ?? 0]}`,
    `target=${IQN_PREFIX}${volume}`,
    'lun=0',
    ...(options.user === undefined ? [] : [`user=${options.user}`, 'password-secret=chap']),
    ...(options.headerDigest === undefined ? [] : [`header-digest=${options.headerDigest}`]),
  ]
  const objects = options.secret === undefined ? [] : ['--object', `secret,id=chap,data=${options.secret}`]
  return { objects, image: fields.join(',') }
}

/** Copies a raw image onto a volume with qemu-img, flushed at the end. */
export async function copyOnto(
  daemon: Daemon,
  volume: string,
  image: string,
  options: QemuIscsiOptions = {},
) {
  const to = describe(daemon, volume, options)
  // -S 0 and no zero detection: what the image says is written, zeroes too.
  const flags = ['-n', '-t', 'writeback', '-S', '0', '-f', 'raw']
  await succeed('qemu-img', ['convert', ...to.objects, ...flags, '--target-image-opts', image, to.image])
}

/** Reads a volume into a raw file with qemu-img. */
export async function copyFrom(daemon: Daemon, volume: string, file: string, options: QemuIscsiOptions = {}) {
  const from = describe(daemon, volume, options)
  await succeed('qemu-img', ['convert', ...from.objects, '--image-opts', '-O', 'raw', from.image, file])
}

/** qemu-img's verdict on a raw file and a volume: 0 identical, 1 different. */
export function compare(
  daemon: Daemon,
  volume: string,
  file: string,
  options: QemuIscsiOptions = {},
): Promise<ProgramResult> {
  const { objects, image } = describe(daemon, volume, options)
  return run('qemu-img', ['compare', ...objects, '--image-opts', `driver=raw,file.filename=${file}`, image])
}

/** Whether qemu-img can open the volume at all. */
export function inspect(
  daemon: Daemon,
  volume: string,
  options: QemuIscsiOptions = {},
): Promise<ProgramResult> {
  const { objects, image } = describe(daemon, volume, options)
  return run('qemu-img', ['info', ...objects, '--image-opts', image])
}
