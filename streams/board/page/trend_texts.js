// Every word of the page of trends that the board does not have, in Chinese and in English.
import { number } from "./texts.js";

export const TREND_TEXTS = {
  zh: {
    trendsTitle: "时限趋势", skipToFigures: "跳到数字", back: "返回看板", print: "打印", reading: "正在读取",
    days: "期间", lastDays: (n) => n === 365 ? "近一年" : `近 ${n} 天`, period: (since, until) => `${since} 至 ${until}`,
    totals: "合计", byDay: "按日", day: "日期", rate: "及时率", breaches: "超时", violations: "违规", redLines: "红线",
    rateOf: (rate, n) => [`${rate}%`, `共判定 ${number(n)}`], nothing: "无判定", soFar: "（未完）", noneKnown: "—",
    rateCaption: (floor) => `每日及时率（纵轴自 ${floor}% 起）`, missedCaption: "每日未达标：超时与违规，柱的下部为红线",
    rateAlternative: (all, best, worst) => `及时率折线图：合计 ${all}；最高 ${best}；最低 ${worst}。逐日数字见表。`,
    missedAlternative: (all, red, most) => `未达标柱形图：合计 ${all}，其中红线 ${red}；最多 ${most}。逐日数字见表。`,
    emptyAlternative: "所选期间没有判定，图中无数据。", onDay: (value, day) => `${value}（${day}）`,
    omittedRows: (n) => `另有 ${number(n)} 行未列，请用筛选缩小范围。`,
    fromBoard: (first, last) => `数据为看板自身所记：工作进程状态仍保留的全部已判定时限，完整的日期自 ${first} 至 ${last}，其余日期不计。更长的历史由 gridclock sink 的数据库提供（--database）。`,
    boardKnowsNone: "看板自身的记录还没有任何完整的日期。历史由 gridclock sink 的数据库提供（--database）。",
    fromDatabase: (first, last) => `数据来自 gridclock sink 的数据库，其中有 ${first} 至 ${last} 的判定。`,
    databaseKnowsNone: "gridclock sink 的数据库中还没有已判定的时限。",
    meaning: "及时率 = 按时办结数 ÷ 已判定数；已撤销和尚未到期的不计。日期为判定之日：办结、违规或期限届满之日，以先到者为准；24:00 届满的计入当日。今日尚未结束。",
    unreadable: (why) => `暂时读不到数据，正在重试：${why}`, noAnswer: "看板没有应答，正在重试。", delayedBy: (t) => `数据延迟 ${t}，此后的判定尚未计入。`,
  },
  en: {
    trendsTitle: "Trends of time limits", skipToFigures: "Skip to the figures", back: "Back to the board", print: "Print", reading: "Reading",
    days: "Period", lastDays: (n) => n === 365 ? "last year" : `last ${n} days`, period: (since, until) => `${since} to ${until}`,
    totals: "Totals", byDay: "By day", day: "Day", rate: "On time", breaches: "Breaches", violations: "Violations", redLines: "Red lines",
    rateOf: (rate, n) => [`${rate}%`, `of ${number(n)} decided`], nothing: "none decided", soFar: " (so far)", noneKnown: "—",
    rateCaption: (floor) => `On-time rate by day (the axis begins at ${floor}%)`, missedCaption: "Missed by day: breaches and violations; the lower part of a bar shows red lines",
    rateAlternative: (all, best, worst) => `Line chart of the on-time rate: ${all} in total; highest ${best}; lowest ${worst}. The table has the figure of each day.`,
    missedAlternative: (all, red, most) => `Bar chart of what was missed: ${all} in total, ${red} of them red lines; most ${most}. The table has the figure of each day.`,
    emptyAlternative: "Nothing was decided in this period; the chart is empty.", onDay: (value, day) => `${value} (${day})`,
    omittedRows: (n) => `${number(n)} more rows are not listed: use a narrower filter.`,
    fromBoard: (first, last) => `These are the board's own figures: all decided cases that the workers' state still holds. They are whole from ${first} to ${last}; other days are left out. The database of gridclock sink has a longer history (--database).`,
    boardKnowsNone: "The board's own figures have no whole day yet. The database of gridclock sink has the history (--database).",
    fromDatabase: (first, last) => `From the database of gridclock sink, which has cases decided from ${first} to ${last}.`,
    databaseKnowsNone: "The database of gridclock sink has no decided case yet.",
    meaning: "On-time rate: cases met of all decided; cancelled cases and those not due yet are left out. The day is that on which a case was decided: it was met, it was violated, or its deadline passed, whichever was first; a deadline at 24:00 is of the day that ends. Today is not over yet.",
    unreadable: (why) => `The figures cannot be read now; trying again: ${why}`, noAnswer: "The board does not answer; trying again.", delayedBy: (t) => `The data are delayed by ${t}; later decisions are not counted yet.`,
  },
};
