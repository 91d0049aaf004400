import { describe, expect, test } from 'vitest'
import { parseIscsiName, parseName, parseTargetName, suggestName } from './names.ts'

describe('names', () => {
  test('name: what the contract allows passes as it is', () => {
    for (const name of ['a', '0', 'db-1.prod', 'x'.repeat(128)]) expect(parseName('volume', name)).toBe(name)
  })

  test('name: anything else is refused, with a suggestion where there is one', () => {
    const cases: [string, string | null][] = [
      ['My Volume', 'my-volume'],
      ['-lead', 'lead'],
      ['.hidden', 'hidden'],
      ['a_b/c', 'a-b-c'],
      ['x'.repeat(129), 'x'.repeat(128)],
      ['', null],
      ['äöü', null],
    ]
    for (const [text, suggestion] of cases) {
      expect(suggestName(text)).toBe(suggestion)
      const message = suggestion === null ? "'.' and '-'" : `'${suggestion}' would do`
      expect(() => parseName('volume', text)).toThrow(
        expect.objectContaining({ code: 'ERR_NAME_INVALID', message: expect.stringContaining(message) }),
      )
    }
  })

  test('iSCSI name: the three forms pass, in lower case', () => {
    for (const name of [
      'iqn.1993-08.org.debian:01:abcdef',
      'iqn.2001-04.com.example',
      'eui.02004567a425678d',
      'naa.52004567ba64678d',
      'naa.62004567ba64678d0123456789abcdef',
    ]) {
      expect(parseIscsiName(name.toUpperCase())).toBe(name)
    }
  })

  test('iSCSI name: wrong dates, lengths and characters are refused', () => {
    for (const name of [
      '',
      'debian',
      'iqn.1993-13.org.debian',
      'iqn.93-08.org.debian',
      'iqn.1993-08.',
      'iqn.1993-08.org.debian:',
      'iqn.1993-08.org.debian:a b',
      'iqn.1993-08.org.debian:a/b',
      'eui.02004567a425678',
      'naa.52004567ba64678d0',
      `iqn.1993-08.org.debian:${'x'.repeat(201)}`,
    ]) {
      expect(() => parseIscsiName(name), name).toThrow(expect.objectContaining({ code: 'ERR_NAME_INVALID' }))
    }
  })

  test('target: a short name follows our colon, a full one stands for itself', () => {
    expect(parseTargetName('demo')).toBe('iqn.2026-11.io.holdfast:demo')
    expect(parseTargetName('iqn.2001-04.com.Example:x')).toBe('iqn.2001-04.com.example:x')
    expect(parseTargetName('iqn-mirror')).toBe('iqn.2026-11.io.holdfast:iqn-mirror')
    expect(() => parseTargetName('Demo')).toThrow("'demo' would do")
    expect(() => parseTargetName('iqn.2001-99.com.example:x')).toThrow('is not an iSCSI name')
  })
})
