// The live board: a view from the server, then its changes; a countdown moved here against the server's clock.
// Everything from outside goes into the page as text. The page holds as many rows as the server sends, no more.
"use strict";
(() => {
  const TEXTS = {
    zh: {
      title: "供电服务时限看板", skip: "跳到即将到期的时限", connecting: "正在连接", switches: "显示设置", sound: "声音",
      flash: "闪烁", filters: "筛选", province: "省", city: "市", county: "县", unit: "单位", chapter: "章节", rule: "规则",
      severity: "级别", clear: "清除筛选", all: "全部", norm: "严格遵守", red_line: "红线", figures: "总览",
      cases: "即将到期", which: "列出哪些", running: "运行中", overdue: "超时未办结", untimed: "无倒计时",
      alerts: "最新超时与违规", redLinesShort: "红线", overdueShort: "超时", hourShort: "1小时内",
      runningShort: "运行中", close: "关闭", due15: "15分钟内到期", due60: "1小时内到期", dueToday: "今日到期",
      breachesToday: "今日超时", violationsToday: "今日违规", redLinesToday: "今日红线",
      untimedNote: (n) => `其中无倒计时 ${n}`, unacknowledged: (n) => `待签收 ${n}`,
      footer: "倒计时按服务器时钟；只有数据水位越过期限才判定超时，此前标为“待确认”。",
      shown: (n, all) => n < all ? `最近 ${number(n)} 条，共 ${number(all)} 条` : `共 ${number(all)} 条`,
      newest: (n) => `最新 ${n} 条`, noCases: "没有符合条件的时限", noAlerts: "没有符合条件的告警",
      loading: "正在读取状态", live: (t) => `实时 · 延迟 ${t}`, delayed: (t) => `数据延迟 ${t}`,
      noData: "等待数据", broken: "连接中断，正在重连", waiting: "待确认", late: "已超时", paused: "暂停中", awaiting: "待结案",
      places: { city: "各地市", county: "各区县", unit: "各单位" }, noPlace: "未注明", byRule: "各规则",
      unknownRules: (rules) => `看板缺少工作进程所用的规则，其时限未列出：${rules}。请用相同的 --rules / --only 启动看板。`, whole: "全部单位",
      breach: "超时", violation: "违规", completed_late: "已办结", retracted: "已撤回", acknowledged: "已签收", noted: "已批注",
      subjects: { order: "工单", account: "户号", meter: "电能表", batch: "批次" },
      due: "期限", limit: "时限", started: "起算", clause: "条款", subject: "对象", place: "单位", kind: "类别",
      detected: "判定时间", explanation: "说明", ending: "后续", provisional: "节假日安排尚未公布，按周末推算", note: "备注",
      news: (n, text) => n > 1 ? `新增 ${n} 条告警，最新：${text}` : `新告警：${text}`, day: "天", languageName: "English",
      other: "en", list: "、", deadlineWord: "期限",
    },
    en: {
      title: "Service time limits", skip: "Skip to what runs out next", connecting: "Connecting", switches: "Display",
      sound: "Sound", flash: "Flash", filters: "Filter", province: "Province", city: "City", county: "County", unit: "Unit",
      chapter: "Chapter", rule: "Rule", severity: "Severity", clear: "Clear filter", all: "All", norm: "Norm",
      red_line: "Red line", figures: "Overview", cases: "Runs out next", which: "Which to list", running: "Running",
      overdue: "Overdue, open", untimed: "No countdown", alerts: "Newest breaches and violations",
      redLinesShort: "Red lines", overdueShort: "Overdue", hourShort: "In 1 h", runningShort: "Running", close: "Close",
      due15: "Due in 15 min", due60: "Due in 1 h", dueToday: "Due today", breachesToday: "Breaches today",
      violationsToday: "Violations today", redLinesToday: "Red lines today", untimedNote: (n) => `${n} without countdown`,
      unacknowledged: (n) => `${n} to acknowledge`,
      footer: "Countdown by the server's clock. A limit counts as breached only once the data have passed it; until then it says “to be confirmed”.",
      shown: (n, all) => n < all ? `nearest ${number(n)} of ${number(all)}` : number(all), newest: (n) => `newest ${n}`,
      noCases: "No clock matches", noAlerts: "No alert matches", loading: "Reading the state",
      live: (t) => `Live · delay ${t}`, delayed: (t) => `Data delayed by ${t}`, noData: "Waiting for data",
      broken: "Connection lost, trying again", waiting: "to be confirmed", late: "overdue", paused: "untimed",
      places: { city: "By city", county: "By county", unit: "By unit" }, noPlace: "not said", byRule: "By rule",
      unknownRules: (rules) => `The workers use rules that this board lacks; their clocks are not listed: ${rules}. Start the board with the same --rules / --only.`, whole: "All units",
      breach: "Breach", violation: "Violation", completed_late: "Done late", retracted: "Withdrawn",
      acknowledged: "Acknowledged", noted: "Note",
      subjects: { order: "Order", account: "Account", meter: "Meter", batch: "Batch" },
      due: "Due", limit: "Limit", started: "Started", clause: "Clause", subject: "Subject", place: "Unit", kind: "Kind",
      detected: "Detected", explanation: "Explanation", ending: "Since then",
      provisional: "Holidays not announced yet, weekends counted", note: "Note",
      news: (n, text) => n > 1 ? `${n} new alerts, the newest: ${text}` : `New alert: ${text}`, day: "d ",
      languageName: "中文", other: "zh", list: ", ", deadlineWord: "due",
    },
  };
  const LEVELS = ["province", "city", "county", "unit"];
  const FILTERS = [...LEVELS, "chapter", "rule", "severity"];
  const ASKED = [...FILTERS, "state", "cases", "alerts"];
  const SILENT_MS = 8000, FRESH_MS = 6000, NEWS_MS = 5000, SLOW_SECONDS = 5, BAD_SECONDS = 60;
  const MINUTE = 60e3, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
  const $ = (id) => document.getElementById(id);

  const params = new URLSearchParams(location.search);
  let text = TEXTS[params.get("lang") === "en" ? "en" : "zh"];
  let language = text === TEXTS.en ? "en" : "zh";
  let meta = { rules: [], chapters: [] };
  let view = { cases: new Map(), alerts: new Map(), counts: {}, places: [], rules: [], choices: {} };
  let clock = null; // {server: ms, local: performance ms, speed, offset: minutes east}
  let stream = null, heardAt = 0, state = { loading: true, delay: null, broken: false, heard: false };
  const fresh = new Map();

  const selected = () => params.get("state") || "running";
  const number = (n) => (n ?? 0).toLocaleString("en-US");

  // -- small things -------------------------------------------------------------------------------------

  function element(tag, className, content) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (content !== undefined) made.textContent = content;
    return made;
  }
  function write(node, content) { if (node.textContent !== content) node.textContent = content; }
  function mark(node, name, value) {
    if (value === null || value === false) { if (node.hasAttribute(name)) node.removeAttribute(name); }
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
  function badge(tone, content) {
    const made = element("span", "badge", content);
    made.dataset.tone = tone;
    return made;
  }
  const said = (both) => both ? both[language] || both.zh || "" : "";
  const subject = (item) => `${text.subjects[item.subject.type] || item.subject.type} ${item.subject.id}`;
  const waits = (item) => item.paused ? text.paused : text.awaiting;
  const place = (org) => LEVELS.slice(1).map((level) => org[level]).filter(Boolean).join(" / ") || org.province || text.noPlace;
  const two = (n) => String(n).padStart(2, "0");

  function stamp(iso, withDate = true) {
    // An end of day is written 24:00 of that day, as the limits say it.
    let date = iso.slice(0, 10), time = iso.slice(11, 19);
    if (time === "00:00:00") {
      date = new Date(Date.parse(`${date}T00:00:00Z`) - DAY).toISOString().slice(0, 10);
      time = "24:00";
    }
    return withDate ? `${date.slice(5)} ${time}` : time;
  }
  const full = (iso) => iso.slice(0, 19).replace("T", " ");
  function length(ms) {
    const seconds = Math.floor(ms / 1000), days = Math.floor(seconds / 86400);
    const rest = `${two(Math.floor(seconds / 3600) % 24)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
    return days ? `${days}${text.day}${rest}` : rest;
  }
  function roughly(seconds) {
    const units = language === "zh" ? ["秒", "分钟", "小时", "天"] : ["s", "min", "h", "d"];
    const [value, unit] = seconds < 60 ? [seconds, 0] : seconds < 3600 ? [seconds / 60, 1] : seconds < 86400 ? [seconds / 3600, 2] : [seconds / 86400, 3];
    return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
  }
  function now() { return clock ? clock.server + (performance.now() - clock.local) * clock.speed : null; }

  // -- the stream ---------------------------------------------------------------------------------------

  function connect() {
    if (stream) stream.close();
    const query = new URLSearchParams();
    for (const name of ASKED) if (params.get(name)) query.set(name, params.get(name));
    const mine = stream = new EventSource(`/api/stream?${query}`);
    heardAt = performance.now();
    const on = (name, take) => mine.addEventListener(name, (event) => {
      if (mine !== stream) return;
      heardAt = performance.now();
      state.broken = false;
      take(JSON.parse(event.data));
    });
    on("snapshot", (data) => {
      takeTime(data);
      const told = new Set(state.heard ? view.alerts.keys() : data.alerts.map((alert) => alert.alert_id));
      const sameFilter = view.query === query.toString();
      view = { query: query.toString(), cases: byId(data.cases, "case_id"), alerts: byId(data.alerts, "alert_id"),
        counts: data.counts, places: data.places, rules: data.rules, choices: data.choices };
      if (sameFilter) news(data.alerts.filter((alert) => !told.has(alert.alert_id)));
      state.heard = true;
      renderFilters();
      soon();
    });
    on("change", (data) => {
      for (const id of data.cases_gone || []) view.cases.delete(id);
      for (const id of data.alerts_gone || []) view.alerts.delete(id);
      for (const one of data.cases || []) view.cases.set(one.case_id, one);
      const unknown = (data.alerts || []).filter((one) => !view.alerts.has(one.alert_id));
      for (const one of data.alerts || []) view.alerts.set(one.alert_id, one);
      if (data.counts) view.counts = data.counts;
      if (data.places) view.places = data.places;
      if (data.rules) view.rules = data.rules;
      if (data.choices) { view.choices = data.choices; renderFilters(); }
      news(unknown);
      soon();
    });
    on("time", takeTime);
    mine.onerror = () => {
      if (mine !== stream) return;
      state.broken = true;
      renderStatus();
      // Refused (full, restarting behind a proxy): the browser does not try again by itself.
      if (mine.readyState === EventSource.CLOSED) setTimeout(() => { if (mine === stream) connect(); }, 3000);
    };
  }
  const byId = (items, key) => new Map(items.map((item) => [item[key], item]));

  function takeTime(data) {
    const sign = data.now.slice(-6, -5) === "-" ? -1 : 1;
    const offset = data.now.endsWith("Z") ? 0 : sign * (Number(data.now.slice(-5, -3)) * 60 + Number(data.now.slice(-2)));
    clock = { server: Date.parse(data.now), local: performance.now(), speed: data.speed, offset };
    state.loading = data.loading;
    state.delay = data.delay_seconds;
    write($("notice"), data.unknown_rules.length ? text.unknownRules(data.unknown_rules.join(text.list)) : "");
    $("notice").hidden = !data.unknown_rules.length;
    renderStatus();
  }

  // -- news: heard, seen, felt by nobody who did not ask ------------------------------------------------

  let unsaid = [], saidAt = -NEWS_MS, sayTimer = 0;
  function news(alerts) {
    const open = alerts.filter((alert) => alert.state === "open")
      .sort((a, b) => Date.parse(a.detected_at) - Date.parse(b.detected_at));
    if (!open.length) return;
    const until = performance.now() + FRESH_MS;
    for (const alert of open) fresh.set(alert.alert_id, until);
    unsaid.push(...open.slice(-20));
    if (!sayTimer) sayTimer = setTimeout(say, Math.max(0, saidAt + NEWS_MS - performance.now()));
    if (params.get("flash") === "1") {
      document.body.classList.add("flashing");
      setTimeout(() => document.body.classList.remove("flashing"), 2600);
    }
    if (params.get("sound") === "1") beep(open.some((alert) => alert.severity === "red_line") ? 3 : 1);
  }
  function say() {
    sayTimer = 0;
    saidAt = performance.now();
    const last = unsaid[unsaid.length - 1];
    $("live").replaceChildren(element("p", "", text.news(unsaid.length, said(last.explanation))));
    unsaid = [];
  }
  let audio = null;
  function ready() {
    audio = audio || new AudioContext();
    if (audio.state === "suspended") audio.resume().catch(() => {});
  }
  function beep(times) {
    ready();
    for (let index = 0; index < times; index += 1) {
      const tone = audio.createOscillator(), gain = audio.createGain(), at = audio.currentTime + index * 0.35;
      tone.frequency.value = 880;
      gain.gain.setValueAtTime(0.0001, at);
      gain.gain.exponentialRampToValueAtTime(0.2, at + 0.03);
      gain.gain.exponentialRampToValueAtTime(0.0001, at + 0.28);
      tone.connect(gain).connect(audio.destination);
      tone.start(at);
      tone.stop(at + 0.3);
    }
  }

  // -- rows ---------------------------------------------------------------------------------------------

  let planned = false;
  function soon() {
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => { planned = false; render(); });
  }

  function renderRows(list, items, key, make, fill) {
    const rows = new Map([...list.children].map((node) => [node.dataset.id, node]));
    const focused = list.contains(document.activeElement) ? document.activeElement.closest("li") : null;
    const place = focused ? [...list.children].indexOf(focused) : -1;
    const wanted = new Set(items.map((item) => item[key]));
    for (const [id, node] of rows) if (!wanted.has(id)) { node.remove(); rows.delete(id); }
    let before = list.firstChild;
    for (const item of items) {
      let node = rows.get(item[key]);
      if (!node) {
        node = element("li");
        node.dataset.id = item[key];
        node.append(make());
        node.firstChild.addEventListener("click", () => detail(list.id, item[key]));
      }
      if (node.item !== item || node.language !== language) { fill(node.firstChild, item); node.item = item; node.language = language; }
      if (node === before) before = before.nextSibling;
      else list.insertBefore(node, before);
    }
    // One stop for the Tab key in each list; the arrow keys move inside it.
    const stop = list.querySelector("button[tabindex='0']");
    if (!stop && list.firstChild) list.firstChild.firstChild.tabIndex = 0;
    if (focused) {
      const target = focused.isConnected ? focused : list.children[Math.min(place, list.children.length - 1)];
      if (!target) list.focus();
      else if (!target.contains(document.activeElement)) move(list, target.firstChild);
    }
  }
  function rowButton(className) {
    const made = element("button", "row");
    made.type = "button";
    made.tabIndex = -1;
    for (const name of className) made.append(element("span", name));
    return made;
  }
  function move(list, button) {
    for (const other of list.querySelectorAll("button[tabindex='0']")) other.tabIndex = -1;
    button.tabIndex = 0;
    button.focus();
  }
  function keys(list) {
    list.addEventListener("keydown", (event) => {
      const rows = [...list.querySelectorAll("button.row")], at = rows.indexOf(document.activeElement);
      if (at < 0) return;
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1, PageDown: at + 10, PageUp: at - 10 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      move(list, rows[Math.max(0, Math.min(rows.length - 1, to))]);
    });
    list.addEventListener("focusin", (event) => {
      const button = event.target.closest("button.row");
      if (button && button.tabIndex !== 0) move(list, button);
    });
  }

  function fillCase(button, item) {
    const [, what, due] = button.children;
    const title = element("span", "title");
    if (item.severity === "red_line") title.append(badge("line", text.red_line));
    title.append(said(item.title));
    what.replaceChildren(title, element("span", "about", `${subject(item)} · ${item.clause} · ${place(item.org)}`));
    due.replaceChildren(document.createTextNode(item.deadline ? stamp(item.deadline) : "—"), element("span", "", said(item.limit)));
    const when = item.deadline ? `${text.deadlineWord} ${stamp(item.deadline)}` : waits(item);
    const parts = [item.severity === "red_line" ? text.red_line : "", subject(item), said(item.title), when, place(item.org)];
    button.setAttribute("aria-label", parts.filter(Boolean).join(text.list));
    button.ends = item.deadline ? Date.parse(item.deadline) : null;
    button.waits = waits(item);
    button.starts = Date.parse(item.started_at);
    button.breached = item.outcome === "breached";
    button.face = null;
  }
  function tick(button, at) {
    const [left] = button.children;
    let sign = "", value = "", heat = "cool", used = 0;
    if (button.ends === null) sign = button.waits;
    else {
      const rest = button.ends - at, whole = button.ends - button.starts;
      used = whole > 0 ? Math.min(1, Math.max(0, 1 - rest / whole)) : 1;
      value = length(rest > 0 ? rest + 999 : -rest);
      if (button.breached) { sign = text.late; heat = "late"; }
      else if (rest <= 0) { sign = text.waiting; heat = "late"; }
      else if (rest <= 2 * MINUTE || rest <= HOUR && used >= 0.8) heat = "hot";
      else if (rest <= HOUR || used >= 0.8) heat = "warm";
    }
    const face = `${sign}|${value}|${heat}`;
    if (button.face === face) return;
    button.face = face;
    left.replaceChildren(...(sign ? [element("span", "sign", sign)] : []), document.createTextNode(value));
    mark(button, "data-heat", heat);
    button.style.setProperty("--used", used.toFixed(3));
  }

  function fillAlert(button, item) {
    const [marks, sentence, ending] = button.children;
    mark(button, "data-severity", item.severity);
    mark(button, "data-state", item.state);
    const found = [badge("red", text[item.kind] || item.kind)];
    if (item.severity === "red_line") found.unshift(badge("line", text.red_line));
    if (item.state !== "open") found.push(badge(item.state === "retracted" ? "soft" : "green", text[item.state]));
    const ack = item.acks.filter((one) => one.action === "acknowledge").pop();
    if (ack) found.push(badge("blue", `${text.acknowledged} ${ack.by}`));
    else if (item.acks.length) found.push(badge("soft", text.noted));
    found.push(element("span", "where", place(item.org)), element("span", "when", stamp(item.detected_at)));
    marks.replaceChildren(...found);
    write(sentence, said(item.explanation));
    write(ending, said(item.ending));
    ending.hidden = !item.ending;
  }

  function render() {
    const at = now();
    const ends = (item) => Date.parse(item.deadline || item.started_at);
    const cases = [...view.cases.values()].sort((a, b) => ends(a) - ends(b) || (a.case_id < b.case_id ? -1 : 1));
    const alerts = [...view.alerts.values()].sort(
      (a, b) => Date.parse(b.detected_at) - Date.parse(a.detected_at) || (a.alert_id < b.alert_id ? 1 : -1));
    renderRows($("cases"), cases, "case_id", () => {
      const made = rowButton(["left", "what", "due"]);
      made.append(element("span", "bar"));
      return made;
    }, fillCase);
    renderRows($("alerts"), alerts, "alert_id", () => rowButton(["marks", "sentence", "ending"]), fillAlert);
    if (at !== null) for (const row of $("cases").children) tick(row.firstChild, at);
    const c = view.counts, all = { running: (c.running || 0) - (c.untimed || 0), overdue: c.overdue, untimed: c.untimed }[selected()] || 0;
    write($("cases-count"), text.shown(cases.length, all));
    write($("cases-title"), text[selected() === "running" ? "cases" : selected()]);
    write($("alerts-count"), text.newest(number(alerts.length)));
    for (const [name, items] of [["cases", cases], ["alerts", alerts]]) {
      $(`${name}-empty`).hidden = items.length > 0;
      $(name).hidden = items.length === 0;
      write($(`${name}-empty`), state.loading || !state.heard ? text.loading : text[name === "cases" ? "noCases" : "noAlerts"]);
    }
    renderTiles();
    renderBreakdown();
    freshen();
  }
  function freshen() {
    const at = performance.now();
    for (const [id, until] of fresh) if (until < at) fresh.delete(id);
    for (const row of $("alerts").children) row.firstChild.classList.toggle("fresh", fresh.has(row.dataset.id));
  }

  const TILES = [
    ["running", "running", "blue", (c) => c.untimed ? text.untimedNote(number(c.untimed)) : ""], ["due_today", "dueToday", "blue"],
    ["due_1_h", "due60", "amber"], ["due_15_min", "due15", "orange"], ["overdue", "overdue", "red"],
    ["breaches_today", "breachesToday", "red", (c) => c.unacknowledged_today ? text.unacknowledged(number(c.unacknowledged_today)) : ""],
    ["violations_today", "violationsToday", "red"], ["red_lines_today", "redLinesToday", "line"],
  ];
  function renderTiles() {
    const list = $("tiles");
    if (!list.children.length) for (const [key, , tone] of TILES) {
      const tile = element("div");
      tile.dataset.key = key;
      tile.dataset.tone = tone;
      tile.append(element("dt"), element("dd", "figure"), element("dd", "note"));
      list.append(tile);
    }
    TILES.forEach(([key, name, , note], index) => {
      const tile = list.children[index], value = view.counts[key] || 0;
      write(tile.children[0], text[name]);
      write(tile.children[1], number(value));
      write(tile.children[2], note ? note(view.counts) : "");
      mark(tile, "data-some", value > 0 ? "" : null);
    });
  }
  function renderBreakdown() {
    const level = params.get("county") || params.get("unit") ? "unit" : params.get("city") ? "county" : "city";
    write($("places-title"), text.places[level]);
    write($("places-level"), text[level]);
    write($("rules-title"), text.byRule);
    write($("rules-level"), text.rule);
    renderTable($("places"), view.places, level, (code) => code || text.noPlace);
    const titles = new Map(meta.rules.map((one) => [one.id, one]));
    renderTable($("rules"), view.rules, "rule", (code) => said((titles.get(code) || {}).title) || code);
  }
  function renderTable(body, items, name, words) {
    while (body.children.length > items.length) body.lastChild.remove();
    items.forEach((item, index) => {
      let row = body.children[index];
      if (!row) {
        row = element("tr");
        const head = element("th"), button = element("button");
        head.scope = "row";
        button.type = "button";
        button.addEventListener("click", () => { if (row.code) set(row.name, row.code); });
        head.append(button);
        row.append(head, element("td"), element("td"), element("td"), element("td"));
        body.append(row);
      }
      row.code = item.code;
      row.name = name;
      write(row.children[0].firstChild, words(item.code));
      [item.red_lines_today, item.overdue, item.due_1_h, item.running].forEach((value, at) => {
        write(row.children[at + 1], number(value));
        mark(row.children[at + 1], "data-tone", value > 0 ? ["line", "red", "amber", null][at] : null);
      });
    });
  }

  function renderStatus() {
    let level = "good", words = "";
    if (state.broken) [level, words] = ["bad", text.broken];
    else if (!clock) [level, words] = ["wait", text.connecting];
    else if (state.loading) [level, words] = ["wait", text.loading];
    else if (state.delay === null) [level, words] = ["slow", text.noData];
    else if (state.delay < SLOW_SECONDS) words = text.live(roughly(state.delay));
    else [level, words] = [state.delay < BAD_SECONDS ? "slow" : "bad", text.delayed(roughly(state.delay))];
    mark($("status"), "data-level", level);
    // A changing figure must not be read out every second: the role speaks only when the kind of news changes.
    mark($("status"), "aria-live", $("status").dataset.said === level ? "off" : "polite");
    $("status").dataset.said = level;
    write($("status-text"), words);
  }

  function moveTime() {
    const at = now();
    if (at === null) return;
    const local = new Date(at + clock.offset * MINUTE).toISOString();
    write($("time"), local.slice(11, 19));
    write($("date"), local.slice(0, 10));
    for (const row of $("cases").children) tick(row.firstChild, at);
    freshen();
    if (performance.now() - heardAt > SILENT_MS) { state.broken = true; renderStatus(); connect(); }
  }

  // -- details ------------------------------------------------------------------------------------------

  function detail(list, id) {
    const item = list === "cases" ? view.cases.get(id) : view.alerts.get(id);
    if (!item) return;
    write($("detail-title"), said(item.title));
    const rows = [[text.subject, subject(item)], [text.place, LEVELS.map((level) => item.org[level]).filter(Boolean).join(" / ")],
      [text.rule, item.rule], [text.clause, item.clause], [text.severity, text[item.severity]]];
    if (list === "cases") {
      rows.push([text.started, full(item.started_at)], [text.limit, said(item.limit)], [text.due, item.deadline ? full(item.deadline) : waits(item)]);
      if (item.calendar_provisional) rows.push([text.note, text.provisional]);
    } else {
      rows.push([text.kind, text[item.kind]], [text.due, full(item.due_at)], [text.detected, full(item.detected_at)], [text.explanation, said(item.explanation)]);
      if (item.ending) rows.push([text.ending, said(item.ending)]);
      for (const ack of item.acks) rows.push([ack.action === "acknowledge" ? text.acknowledged : text.noted, `${full(ack.at)} ${ack.by} ${ack.note}`]);
      rows.push(["alert_id", item.alert_id]);
    }
    $("detail-list").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value || "—")]));
    $("detail").showModal();
  }

  // -- filters and switches -----------------------------------------------------------------------------

  function set(name, value) {
    if (value) params.set(name, value);
    else params.delete(name);
    // A narrower place means nothing under another one.
    if (LEVELS.includes(name)) for (const below of LEVELS.slice(LEVELS.indexOf(name) + 1)) params.delete(below);
    if (name === "chapter") params.delete("rule");
    remember();
    if (ASKED.includes(name)) connect();
    renderFilters();
    soon();
  }
  function remember() {
    const query = params.toString();
    history.replaceState(null, "", query ? `?${query}` : location.pathname);
  }
  function options(select, choices) {
    const value = params.get(select.name) || "";
    if (value && !choices.some(([key]) => key === value)) choices = [...choices, [value, value]];
    const wanted = JSON.stringify([language, choices]);
    if (select.wanted !== wanted) {
      select.wanted = wanted;
      select.replaceChildren(...[["", text.all], ...choices].map(([key, words]) => {
        const option = element("option", "", words);
        option.value = key;
        return option;
      }));
    }
    if (select.value !== value) select.value = value;
  }
  function renderFilters() {
    const form = $("filters").elements;
    for (const level of LEVELS) options(form[level], (view.choices[level] || []).map((code) => [code, code]));
    options(form.chapter, meta.chapters.map((one) => [one.id, `${one.id} ${said(one.title)}`]));
    const chapter = params.get("chapter");
    options(form.rule, meta.rules.filter((one) => !chapter || one.chapter === chapter).map((one) => [one.id, `${one.clause} ${said(one.title)}`]));
    options(form.severity, [["red_line", text.red_line], ["norm", text.norm]]);
    const count = FILTERS.filter((name) => params.get(name)).length;
    write($("filter-count"), count ? `(${count})` : "");
    $("clear").disabled = count === 0;
    for (const button of document.querySelectorAll(".states button")) mark(button, "aria-pressed", String(button.dataset.state === selected()));
    const where = LEVELS.map((level) => params.get(level)).filter(Boolean);
    const rest = [];
    if (chapter) rest.push(said((meta.chapters.find((one) => one.id === chapter) || {}).title) || chapter);
    if (params.get("rule")) rest.push(said((meta.rules.find((one) => one.id === params.get("rule")) || {}).title) || params.get("rule"));
    if (params.get("severity")) rest.push(text[params.get("severity")] || params.get("severity"));
    write($("scope"), [where.join(" / ") || text.whole, ...rest].join(" · "));
  }
  function translate() {
    language = params.get("lang") === "en" ? "en" : "zh";
    text = TEXTS[language];
    document.documentElement.lang = language === "en" ? "en" : "zh-CN";
    document.title = text.title;
    for (const node of document.querySelectorAll("[data-text]")) write(node, text[node.dataset.text]);
    for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", text[node.dataset.label]);
    write($("lang"), text.languageName);
    $("lang").lang = text.other === "en" ? "en" : "zh-CN";
    for (const row of $("cases").children) row.firstChild.face = null;
    renderFilters();
    renderStatus();
    soon();
  }

  function start() {
    for (const select of $("filters").querySelectorAll("select")) select.addEventListener("change", () => set(select.name, select.value));
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    $("clear").addEventListener("click", () => { for (const name of FILTERS) params.delete(name); set("city", ""); });
    $("lang").addEventListener("click", () => { params.set("lang", text.other); if (text.other === "zh") params.delete("lang"); remember(); translate(); });
    for (const name of ["sound", "flash"]) {
      const show = () => mark($(name), "aria-pressed", String(params.get(name) === "1"));
      $(name).addEventListener("click", () => { if (name === "sound") ready(); set(name, params.get(name) === "1" ? "" : "1"); show(); });
      show();
    }
    // Browsers let a page sound only after somebody touched it; a bookmarked sound=1 waits for that.
    addEventListener("pointerdown", () => { if (params.get("sound") === "1") ready(); });
    for (const button of document.querySelectorAll(".states button")) {
      button.addEventListener("click", () => set("state", button.dataset.state === "running" ? "" : button.dataset.state));
    }
    $("detail-close").addEventListener("click", () => $("detail").close());
    keys($("cases"));
    keys($("alerts"));
    const wide = matchMedia("(min-width: 1200px)");
    const fit = () => { $("filter-box").open = wide.matches || $("filter-box").open && !wide.matches; };
    wide.addEventListener("change", fit);
    fit();
    translate();
    fetch("/api/meta").then((answer) => answer.json()).then((found) => { meta = found; renderFilters(); soon(); }).catch(() => {});
    connect();
    setInterval(moveTime, matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 250);
  }
  start();
})();
