import { expect, test } from 'vitest'
import { temporaryDirectory } from '../../test/lib/temporary-directory.ts'
import { encodeValue, keys } from '../control/layout.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { openEmbeddedStore } from '../metadata/embedded/embedded-store.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { PeerAdmission } from './admit-peer.ts'

const peer = {
  clusterId: 'c',
  peerId: 'p',
  peerNumber: 7,
  brickUuid: 'b',
  openCounter: 3,
  bootId: '',
  incarnation: 'one',
}

test('admission: by certificate and metadata; without metadata only the process that was let in before', async () => {
  using directory = temporaryDirectory('admit')
  await using store = await openEmbeddedStore({ directory: directory.path })
  const put = (key: string, value: Buffer) => ({ do: 'put', key, value }) as const
  await store.transact({
    compare: [],
    success: [
      put(keys.peer('p'), encodeValue('peer', { number: 7, addresses: [], labels: {} })),
      put(keys.brick('b'), encodeValue('brick', { peer: 'p', openCounter: 3 })),
    ],
  })
  let isSilent = false
  const metadata: Pick<MetadataStore, 'get'> = {
    async get(key) {
      if (isSilent) throw new HoldfastError('ERR_METADATA_UNAVAILABLE')
      return store.get(key)
    },
  }
  const admission = new PeerAdmission(metadata as MetadataStore, 'c')
  await admission.admit(peer, 'p')
  await expect(admission.admit(peer, 'q')).rejects.toThrow("its certificate is that of 'q'")
  await expect(admission.admit({ ...peer, openCounter: 2 }, null)).rejects.toMatchObject({
    code: 'ERR_PEER_REFUSED',
  })
  isSilent = true
  await admission.admit(peer, null)
  await expect(admission.admit({ ...peer, incarnation: 'two' }, null)).rejects.toMatchObject({
    code: 'ERR_METADATA_UNAVAILABLE',
  })
})
