import type { CauseCode } from '../errors/causes.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { normalizeIscsiName } from '../lib/names.ts'
import type { Serving } from './serving.ts'

const NAMES_SHOWN_MAX = 3

/** Throws ERR_VOLUME_BUSY when clients of other daemons use the volume, or when that cannot be told. */
export async function refuseVolumeUsedElsewhere(serving: Serving, volume: string): Promise<void> {
  const what = `volume '${volume}'`
  refuseUsed('ERR_VOLUME_BUSY', what, await usersElsewhere(serving, 'ERR_VOLUME_BUSY', what, volume))
}

/** Throws ERR_TARGET_BUSY when initiators of other daemons use one of the volumes, or when that cannot be told. */
export async function refuseTargetUsedElsewhere(
  serving: Serving,
  iqn: string,
  volumes: readonly string[],
): Promise<void> {
  const what = `target '${iqn}'`
  const users = await Promise.all(
    volumes.map(volume => usersElsewhere(serving, 'ERR_TARGET_BUSY', what, volume)),
  )
  const initiators = users.flat().filter(name => normalizeIscsiName(name) !== null)
  refuseUsed('ERR_TARGET_BUSY', what, [...new Set(initiators)])
}

async function usersElsewhere(
  serving: Serving,
  code: CauseCode,
  what: string,
  volume: string,
): Promise<readonly string[]> {
  return serving.usersElsewhere(volume).catch(cause => {
    const why = `whether ${what} is used at another daemon cannot be told now: use --force, or wait`
    throw new HoldfastError(code, why, { cause })
  })
}

function refuseUsed(code: CauseCode, what: string, users: readonly string[]): void {
  if (users.length === 0) return
  const names = users.slice(0, NAMES_SHOWN_MAX).join(', ')
  throw new HoldfastError(code, `${what} is used at another daemon by ${names}: end that, or use --force`)
}
