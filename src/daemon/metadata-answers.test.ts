import pino from 'pino'
import { expect, test } from 'vitest'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { metadataAnswers } from './metadata-answers.ts'

const log = pino({ enabled: false })
const away = () =>
  Promise.reject(new HoldfastError('ERR_METADATA_UNAVAILABLE', 'etcd does not answer: refused'))

test('metadata: a daemon that starts before etcd does waits for it', async () => {
  let asked = 0
  const metadata = { get: () => (++asked < 4 ? away() : Promise.resolve(null)) }
  await metadataAnswers({ metadata, log, askEveryMs: 1 })
  expect(asked).toBe(4)
})

test('metadata: one that stays away ends the start with the reason, another error at once', async () => {
  await expect(metadataAnswers({ metadata: { get: away }, log, waitMs: 5, askEveryMs: 1 })).rejects.toThrow(
    'etcd does not answer: refused',
  )
  let asked = 0
  const get = () => {
    asked++
    return Promise.reject(new HoldfastError('ERR_METADATA_FORMAT'))
  }
  await expect(metadataAnswers({ metadata: { get }, log, askEveryMs: 1 })).rejects.toMatchObject({
    code: 'ERR_METADATA_FORMAT',
  })
  expect(asked).toBe(1)
})
