'use strict';
(() => {
  const words = {
    vi: {
      skip: 'Đến thao tác', title: 'giao diện lập trình REST/JSON', search: 'Tìm thao tác ( / )', language: 'English',
      operations: 'Các thao tác', loading: 'Đang tải…', failed: 'Không tải được /openapi.json: ', nothing: 'Không có thao tác nào khớp.',
      permission: 'quyền: ', public: 'công khai', sensitive: 'nhạy cảm: cần danh sách thu hồi mới', purposeMark: 'phải nêu mục đích',
      once: 'gửi lại vẫn là một lần (requestId)', caller: 'Người gọi', token: 'Mã truy cập (token)',
      tokenHelp: 'Dán mã truy cập; chỉ giữ trong thẻ trình duyệt này. Khi chạy thử: cargo egov token --as clerk',
      purpose: 'Mục đích (x-egov-purpose)', purposeHelp: 'Vì sao đọc dữ liệu cá nhân, ví dụ case_handling; được ghi lại.',
      parameters: 'Tham số', body: 'Nội dung (JSON)', reset: 'Điền lại ví dụ', newId: 'requestId mới', fields: 'Các trường của nội dung',
      send: 'Gửi', sending: 'Đang gửi…', hint: 'Ctrl+Enter', curl: 'Dòng lệnh curl', copy: 'Chép', copied: 'Đã chép', answer: 'Trả lời',
      headers: 'Tiêu đề', empty: '(không có nội dung)', unreachable: 'Không gọi được: ', notJson: 'Nội dung không phải JSON: ',
      must: 'bắt buộc', personal: 'dữ liệu cá nhân', answerFields: 'Các trường của trả lời', violations: 'Các trường sai', unset: '(bỏ trống)',
      placeholder: 'Chọn một thao tác ở bên trái, hoặc gõ / để tìm.',
      ask: 'Máy chủ này chỉ cho xem những gì người gọi được phép gọi. Dán mã truy cập (token) để tải; chỉ giữ trong thẻ trình duyệt này.',
      load: 'Tải', mask: 'chỉ nhận: ',
      introduction: `REST/JSON từ cùng các hợp đồng giao diện mà gRPC phục vụ, trên cùng một cổng. Tên trường viết kiểu lowerCamelCase (tên trong hợp đồng cũng được nhận), giá trị liệt kê viết bằng tên, số nguyên 64 bit và dữ liệu nhị phân (base64) là chuỗi, thời điểm theo RFC 3339; trường không có giá trị thì được bỏ qua. Trường hay tham số lạ đều bị từ chối, có nêu tên từng cái.

Thao tác ghi có \`requestId\` (UUID): cùng một yêu cầu, qua REST hay gRPC, nhận cùng một trả lời; mất trả lời thì gửi lại đúng yêu cầu đó. Đối tượng có thể thay đổi có \`etag\`; etag cũ bị từ chối. Danh sách đọc tiếp bằng \`pageToken\`.

Tiêu đề: \`authorization: Bearer …\`; \`x-egov-purpose\` khi đọc dữ liệu cá nhân; \`grpc-timeout\` (\`500m\` là nửa giây) đặt thời hạn; \`x-request-id\` đặt tên cho yêu cầu trong nhật ký; \`accept-language\` chọn ngôn ngữ đứng trước của lời từ chối. Mô tả từng thao tác dưới đây lấy từ hợp đồng, bằng tiếng Anh kèm thuật ngữ pháp luật tiếng Việt.`,
    },
    en: {
      skip: 'Skip to the operation', title: 'REST/JSON interface', search: 'Find an operation ( / )', language: 'Tiếng Việt',
      operations: 'Operations', loading: 'Loading…', failed: '/openapi.json cannot be loaded: ', nothing: 'No operation matches.',
      permission: 'permission: ', public: 'public', sensitive: 'sensitive: needs a fresh list of revocations', purposeMark: 'purpose required',
      once: 'sent twice, done once (requestId)', caller: 'Caller', token: 'Access token',
      tokenHelp: 'Paste a token; it stays in this tab. For a trial: cargo egov token --as clerk',
      purpose: 'Purpose (x-egov-purpose)', purposeHelp: 'Why personal data is read, for example case_handling; it is recorded.',
      parameters: 'Parameters', body: 'Body (JSON)', reset: 'Fill in the example again', newId: 'New requestId', fields: 'Fields of the body',
      send: 'Send', sending: 'Sending…', hint: 'Ctrl+Enter', curl: 'As a curl command', copy: 'Copy', copied: 'Copied', answer: 'Answer',
      headers: 'Headers', empty: '(no body)', unreachable: 'Cannot be called: ', notJson: 'The body is no JSON: ',
      must: 'required', personal: 'personal data', answerFields: 'Fields of the answer', violations: 'Fields that are wrong', unset: '(not set)',
      placeholder: 'Choose an operation on the left, or type / to search.',
      ask: 'This server shows only what the caller may call. Paste an access token to load it; it stays in this tab.',
      load: 'Load', mask: 'only these come back: ',
    },
  };
  const keep = (store, name, value) => {
    try { if (value === undefined) return store.getItem(name); store.setItem(name, value); } catch { /* a browser that keeps nothing */ }
    return null;
  };
  let language = keep(localStorage, 'egov.language') === 'en' ? 'en' : 'vi';
  const say = (key) => words[language][key] ?? key;
  const $ = (id) => document.getElementById(id);

  /** Makes an element. Nothing of the document ever becomes markup: texts are texts. */
  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === undefined || value === false) continue;
      if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value === true ? '' : value);
    }
    element.append(...children.filter((child) => child !== undefined && child !== null));
    return element;
  };

  /** Paragraphs of a comment, with what stands in backticks as code. */
  const prose = (text) => text.split(/\n\n+/).map((paragraph) => make('p', { class: 'description' },
    ...paragraph.replace(/([^\n])\n(?![*-] )/g, '$1 ').split('`').map((part, index) => (index % 2 ? make('code', {}, part) : part))));

  let spec = null;
  let operations = [];
  let current = null;

  const resolve = (schema) => {
    let at = schema ?? {};
    for (let hops = 0; at.$ref && hops < 8; hops += 1) {
      const { $ref, ...beside } = at;
      const target = $ref.replace('#/', '').split('/').reduce((value, key) => value?.[key], spec) ?? {};
      at = { ...target, ...beside };
    }
    return at;
  };

  const uuid = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  };

  const formats = { procedure_code: '1.001193', phone: '0900000000' };

  /** An example of a schema: what is required, and one level of what is not. */
  const example = (raw, name = '', depth = 0) => {
    const schema = resolve(raw);
    if (schema.examples?.length) return schema.examples[0];
    if (schema.const !== undefined) return schema.const;
    if (schema.enum) return schema.enum.find((value) => !String(value).endsWith('_UNSPECIFIED')) ?? schema.enum[0];
    switch (schema.type) {
      case 'object': {
        const value = {};
        if (depth > 5) return value;
        const excluded = new Set();
        for (const { oneOf } of schema.allOf ?? []) {
          const names = (oneOf ?? []).flatMap((choice) => choice.required ?? []);
          names.slice(1).forEach((other) => excluded.add(other));
        }
        for (const [key, property] of Object.entries(schema.properties ?? {})) {
          const must = schema.required?.includes(key);
          const inner = resolve(property);
          if (excluded.has(key) || (!must && (depth > 0 || ['object', 'array'].includes(inner.type)))) continue;
          value[key] = example(property, key, depth + 1);
        }
        return value;
      }
      case 'array': return schema.minItems > 0 ? [example(schema.items, name, depth + 1)] : [];
      case 'boolean': return false;
      case 'integer': case 'number': {
        const now = new Date();
        const dates = { year: now.getFullYear(), month: now.getMonth() + 1, day: now.getDate() };
        if (dates[name]) return dates[name];
        return Math.max(schema.minimum > -2147483648 ? schema.minimum : 0, schema.exclusiveMinimum !== undefined ? schema.exclusiveMinimum + 1 : 0);
      }
      default:
        if (schema.format === 'uuid') return name === 'requestId' ? uuid() : '00000000-0000-4000-8000-000000000000';
        if (schema.format === 'date-time') return new Date().toISOString();
        if (schema.format === 'int64' || schema.format === 'uint64') return '0';
        return formats[schema['x-egov-format']] ?? '';
    }
  };

  const describeType = (schema) => {
    const one = resolve(schema);
    if (one.enum) return one.enum.join(' | ');
    if (one.type === 'array') return `${describeType(one.items)}[]`;
    const parts = [one.type ?? 'any'];
    if (one.format && one.format !== 'byte') parts.push(one.format);
    if (one.contentEncoding) parts.push(one.contentEncoding);
    if (one.maxLength !== undefined) parts.push(`≤ ${one.maxLength}`);
    if (one.pattern && !one.format) parts.push(one.pattern);
    return parts.join(', ');
  };

  const rowsOf = (schema, depth = 0, seen = []) => {
    const one = resolve(schema);
    const rows = [];
    for (const [name, property] of Object.entries(one.properties ?? {})) {
      const inner = resolve(property);
      const item = inner.type === 'array' ? resolve(inner.items) : inner;
      rows.push(make('tr', {},
        make('td', { class: `indent-${Math.min(depth, 3)}` }, name, one.required?.includes(name) ? make('span', { class: 'must', title: say('must') }, ' *') : ''),
        make('td', {}, describeType(property)),
        make('td', {}, property.description ?? '', property['x-egov-personal-data'] ? make('span', { class: 'quiet' }, ` [${say('personal')}]`) : '')));
      const key = property.$ref ?? inner.items?.$ref;
      if (item.properties && depth < 3 && !(key && seen.includes(key))) rows.push(...rowsOf(item, depth + 1, [...seen, key]));
    }
    return rows;
  };

  /** JSON with colours, as elements. */
  const coloured = (text) => {
    const pre = make('pre', { tabindex: '0' });
    const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
    let last = 0;
    for (let match = token.exec(text); match; match = token.exec(text)) {
      pre.append(text.slice(last, match.index));
      const kind = match[1] ? (match[2] ? '' : 't') : /^[tfn]/.test(match[0]) ? 'w' : 'n';
      pre.append(kind ? make('span', { class: kind }, match[0]) : match[0]);
      last = match.index + match[0].length;
    }
    pre.append(text.slice(last));
    return pre;
  };

  const label = () => {
    document.documentElement.lang = language;
    document.querySelectorAll('[data-text]').forEach((element) => { element.textContent = say(element.dataset.text); });
    document.querySelectorAll('[data-placeholder]').forEach((element) => { element.placeholder = say(element.dataset.placeholder); });
    document.querySelectorAll('[data-label]').forEach((element) => { element.setAttribute('aria-label', say(element.dataset.label)); });
    $('language').textContent = say('language');
  };

  const fold = (text) => text.toLowerCase().normalize('NFD').replace(/\p{M}/gu, '').replaceAll('đ', 'd');

  const list = () => {
    const wanted = fold($('search').value).split(/\s+/).filter(Boolean);
    const matching = operations.filter((one) => wanted.every((word) => one.searched.includes(word)));
    const groups = new Map();
    for (const one of matching) groups.set(one.tag, [...(groups.get(one.tag) ?? []), one]);
    const children = [];
    for (const [tag, ones] of groups) {
      children.push(make('h2', { title: spec.tags?.find((other) => other.name === tag)?.description }, tag));
      for (const one of ones) {
        children.push(make('a', { href: `#${one.id}`, 'aria-current': one === current ? 'page' : undefined },
          make('span', { class: `verb ${one.verb}` }, one.verb.toUpperCase()),
          make('span', {}, one.name, make('small', {}, one.path))));
      }
    }
    $('list').replaceChildren(...(children.length ? children : [make('p', { class: 'quiet' }, say('nothing'))]));
    return matching;
  };

  const field = (id, name, input, must, help) => make('div', { class: 'field' },
    make('label', { for: id }, name, must ? make('span', { class: 'must', title: say('must') }, ' *') : ''), input, help ? make('p', {}, help) : undefined);

  const show = () => {
    const one = current;
    if (!one) {
      $('operation').replaceChildren(make('p', { class: 'quiet' }, say('placeholder')),
        ...prose(spec.info['x-egov-introduction']?.[language] ?? words[language].introduction ?? spec.info.description));
      return;
    }
    const { operation } = one;
    const marks = [
      operation['x-egov-permission'] && say('permission') + operation['x-egov-permission'],
      operation['x-egov-public'] && say('public'),
      operation['x-egov-purpose-required'] && say('purposeMark'),
      operation['x-egov-sensitive'] && say('sensitive'),
      operation['x-egov-idempotency'] === 'REQUEST_ID' && say('once'),
      operation['x-egov-mask'] && say('mask') + operation['x-egov-mask'].join(', '),
    ].filter(Boolean);

    const token = make('input', { id: 'token', type: 'password', autocomplete: 'off', spellcheck: 'false' });
    token.value = keep(sessionStorage, 'egov.token') ?? '';
    const purpose = make('input', { id: 'purpose', autocomplete: 'off', spellcheck: 'false' });
    purpose.value = keep(sessionStorage, 'egov.purpose') || (operation['x-egov-purpose-required'] ? 'case_handling' : '');
    token.addEventListener('input', () => keep(sessionStorage, 'egov.token', token.value));
    purpose.addEventListener('input', () => keep(sessionStorage, 'egov.purpose', purpose.value));

    const inputs = [];
    const parameters = (operation.parameters ?? []).map(resolve).filter((parameter) => parameter.in !== 'header');
    const rows = parameters.map((parameter) => {
      const id = `parameter-${parameter.name}`;
      const schema = resolve(parameter.schema);
      const choices = schema.enum ?? (schema.type === 'boolean' ? ['true', 'false'] : null);
      const input = choices && schema.type !== 'array'
        ? make('select', { id }, make('option', { value: '' }, say('unset')), ...choices.map((choice) => make('option', { value: choice }, choice)))
        : make('input', { id, autocomplete: 'off', spellcheck: 'false', placeholder: describeType(parameter.schema) });
      if (!choices && parameter.required) input.value = example(parameter.schema, parameter.name);
      inputs.push({ parameter, input });
      return field(id, parameter.name, input, parameter.required, parameter.description);
    });

    const bodySchema = operation.requestBody?.content?.['application/json']?.schema;
    const body = bodySchema && make('textarea', { id: 'body', spellcheck: 'false', 'aria-label': say('body') });
    const fill = () => { body.value = JSON.stringify(example(bodySchema), null, 2); refresh(); };

    const request = () => {
      let path = one.path;
      const query = [];
      for (const { parameter, input } of inputs) {
        const value = input.value;
        if (parameter.in === 'path') path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
        else if (value !== '') {
          const many = resolve(parameter.schema).type === 'array' ? value.split(',').map((item) => item.trim()) : [value];
          many.forEach((item) => query.push(`${encodeURIComponent(parameter.name)}=${encodeURIComponent(item)}`));
        }
      }
      const headers = { 'accept-language': language };
      if (token.value.trim()) headers.authorization = `Bearer ${token.value.trim()}`;
      if (purpose.value.trim()) headers['x-egov-purpose'] = encodeURIComponent(purpose.value.trim());
      if (body) headers['content-type'] = 'application/json';
      return { url: path + (query.length ? `?${query.join('&')}` : ''), headers, body: body?.value };
    };

    const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
    const curl = make('pre', { tabindex: '0' });
    const refresh = () => {
      const { url, headers, body: text } = request();
      const parts = [`curl -sS${one.verb === 'get' ? '' : ` -X ${one.verb.toUpperCase()}`} ${quote(location.origin + url)}`];
      for (const [name, value] of Object.entries(headers)) {
        parts.push(`-H ${name === 'authorization' ? '"authorization: Bearer $TOKEN"' : quote(`${name}: ${value}`)}`);
      }
      if (text !== undefined) {
        let compact = text;
        let problem = '';
        try { compact = JSON.stringify(JSON.parse(text || '{}')); } catch (error) { problem = say('notJson') + error.message; }
        body.setAttribute('aria-invalid', problem ? 'true' : 'false');
        wrong.textContent = problem;
        parts.push(`-d ${quote(compact)}`);
      }
      curl.textContent = parts.join(' \\\n  ');
    };
    const wrong = make('p', { class: 'must' });

    const answer = make('section', { hidden: true, id: 'answer' });
    const button = make('button', { class: 'main', type: 'submit', id: 'send' }, say('send'));
    const send = async () => {
      const { url, headers, body: text } = request();
      button.disabled = true;
      button.textContent = say('sending');
      const began = performance.now();
      try {
        const response = await fetch(url, { method: one.verb.toUpperCase(), headers, body: text, cache: 'no-store', credentials: 'omit' });
        const raw = await response.text();
        const took = Math.round(performance.now() - began);
        let shown = raw;
        let parsed = null;
        try { parsed = JSON.parse(raw); shown = JSON.stringify(parsed, null, 2); } catch { /* shown as it came */ }
        const said = parsed?.details?.find((detail) => detail.locale === language)?.message;
        const violations = parsed?.details?.flatMap((detail) => detail.fieldViolations ?? []) ?? [];
        answer.replaceChildren(
          make('h3', {}, say('answer')),
          make('div', { class: 'row' },
            make('span', { class: `status ${response.ok ? 'good' : 'bad'}` }, `${response.status} ${response.statusText}`.trim()),
            make('span', { class: 'quiet' }, `${took} ms`), said ? make('span', {}, said) : ''),
          violations.length ? make('div', {}, make('p', { class: 'quiet' }, say('violations')), make('ul', {}, ...violations.map((violation) =>
            make('li', {}, make('code', {}, violation.field), ': ', (language === 'vi' && violation.localizedMessage?.message) || violation.description)))) : '',
          shown ? coloured(shown) : make('p', { class: 'quiet' }, say('empty')),
          make('details', {}, make('summary', {}, say('headers')),
            make('pre', { tabindex: '0' }, [...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n'))));
        $('said').textContent = `${say('answer')}: ${response.status}${said ? `, ${said}` : ''}`;
      } catch (error) {
        answer.replaceChildren(make('h3', {}, say('answer')), make('p', { class: 'must' }, say('unreachable') + error.message));
      } finally {
        button.disabled = false;
        button.textContent = say('send');
        answer.hidden = false;
        answer.scrollIntoView({ block: 'nearest' });
      }
    };

    const copy = make('button', { type: 'button', onclick: async () => {
      try { await navigator.clipboard.writeText(curl.textContent); } catch {
        getSelection().selectAllChildren(curl);
        document.execCommand('copy');
      }
      copy.textContent = say('copied');
      setTimeout(() => { copy.textContent = say('copy'); }, 1500);
    } }, say('copy'));

    const answerSchema = operation.responses?.['200']?.content?.['application/json']?.schema;
    const table = (title, schema) => {
      const found = rowsOf(schema);
      return found.length ? make('details', {}, make('summary', {}, title), make('table', {}, make('tbody', {}, ...found))) : '';
    };
    const form = make('form', {
      oninput: refresh, onchange: refresh,
      onsubmit: (event) => { event.preventDefault(); send(); },
      onkeydown: (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send(); } },
    },
      make('section', {}, make('h3', {}, say('caller')),
        field('token', say('token'), token, !operation['x-egov-public'], say('tokenHelp')),
        field('purpose', say('purpose'), purpose, operation['x-egov-purpose-required'], say('purposeHelp'))),
      rows.length ? make('section', {}, make('h3', {}, say('parameters')), ...rows) : '',
      body ? make('section', {}, make('h3', {}, say('body')), body, wrong,
        make('div', { class: 'row' },
          make('button', { type: 'button', onclick: fill }, say('reset')),
          resolve(bodySchema).properties?.requestId ? make('button', { type: 'button', onclick: () => {
            try { body.value = JSON.stringify({ ...JSON.parse(body.value || '{}'), requestId: uuid() }, null, 2); } catch { fill(); }
            refresh();
          } }, say('newId')) : ''),
        table(say('fields'), bodySchema)) : '',
      make('div', { class: 'row' }, button, make('span', { class: 'quiet' }, say('hint'))));

    $('operation').replaceChildren(
      make('h2', {}, one.name),
      make('p', { class: 'route' }, make('span', { class: `verb ${one.verb}` }, one.verb.toUpperCase()), ` ${one.path}`),
      make('ul', { class: 'marks' }, ...marks.map((mark) => make('li', {}, mark))),
      ...prose(operation.description ?? ''),
      form, answer,
      make('section', {}, make('div', { class: 'row' }, make('h3', {}, say('curl')), copy), curl),
      answerSchema ? make('section', {}, table(say('answerFields'), answerSchema)) : '');
    if (body) fill(); else refresh();
    $('operation').scrollTop = 0;
  };

  const route = () => {
    const wanted = decodeURIComponent(location.hash.slice(1));
    current = operations.find((one) => one.id === wanted) ?? null;
    document.title = current ? `${current.name} · egov` : 'egov: giao diện lập trình';
    list();
    show();
  };

  /** Asks for a token, where the document is different for each caller. */
  const ask = (problem) => {
    const token = make('input', { id: 'token', type: 'password', autocomplete: 'off', spellcheck: 'false' });
    token.value = keep(sessionStorage, 'egov.token') ?? '';
    $('operation').replaceChildren(make('form', { onsubmit: (event) => {
      event.preventDefault();
      keep(sessionStorage, 'egov.token', token.value.trim());
      start();
    } },
      make('p', { class: 'quiet' }, say('ask')),
      problem ? make('p', { class: 'must', role: 'alert' }, problem) : '',
      field('token', say('token'), token, true),
      make('button', { class: 'main', type: 'submit' }, say('load'))));
  };

  const fetched = async (token) => {
    const response = await fetch('/openapi.json', {
      headers: { 'accept-language': language, ...(token ? { authorization: `Bearer ${token}` } : {}) }, credentials: 'omit',
    });
    return { response, content: await response.json().catch(() => null) };
  };

  const start = async () => {
    label();
    try {
      let { response, content } = await fetched('');
      const token = keep(sessionStorage, 'egov.token');
      if (response.status === 401 && token) ({ response, content } = await fetched(token));
      if (response.status === 401 || (token && response.status === 403)) {
        ask(token ? content?.details?.find((detail) => detail.locale === language)?.message ?? String(response.status) : '');
        return;
      }
      if (!response.ok || !content) throw new Error(String(response.status));
      spec = content;
    } catch (error) {
      $('operation').replaceChildren(make('p', { class: 'must' }, say('failed') + error.message));
      return;
    }
    operations = [];
    for (const [path, verbs] of Object.entries(spec.paths)) {
      for (const [verb, operation] of Object.entries(verbs)) {
        const id = operation.operationId;
        operations.push({
          id, verb, path, operation, tag: operation.tags[0], name: id.split('_').slice(1).join(' '),
          searched: fold([id, verb, path, operation.description, operation['x-egov-permission']].join(' ')),
        });
      }
    }
    const order = new Map((spec.tags ?? []).map((tag, index) => [tag.name, index]));
    operations.sort((a, b) => (order.get(a.tag) - order.get(b.tag)) || a.path.localeCompare(b.path) || a.verb.localeCompare(b.verb));
    route();
  };

  $('language').addEventListener('click', () => {
    language = language === 'vi' ? 'en' : 'vi';
    keep(localStorage, 'egov.language', language);
    label();
    if (spec) route(); else start();
  });
  $('search').addEventListener('input', list);
  $('search').addEventListener('keydown', (event) => {
    if (event.key === 'Enter') {
      const [first] = list();
      if (first) { location.hash = first.id; $('operation').focus(); }
    } else if (event.key === 'ArrowDown') {
      event.preventDefault();
      $('list').querySelector('a')?.focus();
    } else if (event.key === 'Escape') {
      $('search').value = '';
      list();
    }
  });
  $('list').addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const links = [...$('list').querySelectorAll('a')];
    const at = links.indexOf(document.activeElement) + step;
    if (at < 0) $('search').focus(); else links[Math.min(at, links.length - 1)]?.focus();
  });
  addEventListener('keydown', (event) => {
    if (event.key === '/' && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? '')) {
      event.preventDefault();
      $('search').focus();
    }
  });
  addEventListener('hashchange', route);
  start();
})();
