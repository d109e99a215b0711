/*
 * The words that the generated mail is made of: what stands in subjects at work and at home, most used
 * first, by and large. Everything rarer is composed of them (bench_search.c).
 */
#ifndef BENCH_SEARCH_WORDS_H
#define BENCH_SEARCH_WORDS_H

static const char korean_words[] =
    "회의 안내 요청 확인 주문 배송 결제 견적 계약 보고 일정 변경 공지 알림 자료 첨부 문의 답변 완료 "
    "접수 승인 신청 발송 예약 취소 환불 청구서 세금계산서 입금 출금 송금 계좌 카드 명세서 영수증 이용 "
    "내역 월간 주간 일일 정기 긴급 중요 검토 수정 제출 마감 연장 프로젝트 개발 서버 점검 장애 복구 "
    "업데이트 배포 테스트 오류 버그 코드 리뷰 디자인 시안 기획 제안서 발표 교육 세미나 워크숍 출장 휴가 "
    "연차 채용 면접 지원 합격 이력서 급여 인사 총무 영업 마케팅 홍보 고객 상담 불만 만족도 설문 조사 "
    "참여 이벤트 당첨 쿠폰 할인 특가 신상품 추천 인기 구독 뉴스레터 소식 회원 가입 비밀번호 인증 보안 "
    "로그인 탈퇴 개인정보 약관 개정 동의 서비스 종료 시작 오픈 기념 축하 생일 결혼 부고 감사 인사말 "
    "새해 추석 설날 명절 선물 가족 친구 모임 동창회 여행 항공권 호텔 숙소 예매 공연 영화 전시 도서 대출 "
    "반납 연체 학교 학생 수업 과제 시험 성적 등록금 장학금 논문 연구 실험 결과 분석 통계 데이터 그래프 "
    "보험 가입 만기 갱신 대출금 이자 상환 투자 주식 배당 공시 분기 실적 매출 이익 예산 비용 정산 지출 "
    "결산 감사보고 법률 소송 특허 상표 등록 출원 심사 의견 통지 납부 세무 신고 국세청 건강검진 병원 진료 "
    "예방접종 처방 약국 부동산 전세 월세 관리비 이사 수리 공사 전기 가스 수도 요금 인터넷 휴대폰 통신 "
    "택배 도착 예정 지연 분실 재발송 교환 반품 품절 재입고 장바구니 사진 동영상 파일 폴더 공유 초대 "
    "수락 거절 참석 불참 장소 시간 날짜 내일 오늘 어제 다음주 이번달 상반기 하반기 서울 부산 대구 인천 "
    "광주 대전 제주 본사 지사 공장 협력사 담당자 팀장 부장 대표 이사회 주주총회 전자결재 품의서 기안";

static const char english_words[] =
    "your order the meeting update for invoice new report request account payment with project team "
    "review weekly status from this schedule confirmation delivery shipped receipt please action "
    "required reminder security alert password reset welcome notification support ticket opened closed "
    "resolved build failed passed deploy release version pull merge issue comment assigned mentioned "
    "invitation accepted declined cancelled moved agenda minutes notes draft final contract agreement "
    "proposal quote purchase refund shipping tracking package arrived delayed subscription renewal "
    "expires trial upgrade billing statement balance transfer deposit bank card statement tax form "
    "document signed shared folder file photos video backup completed error warning server outage "
    "maintenance planned domain certificate expiring storage quota exceeded monthly newsletter digest "
    "daily summary quarterly results budget forecast expenses travel booking flight hotel itinerary "
    "checkin reservation ticket concert event webinar register conference workshop training course "
    "lesson homework grades school teacher parents library book reading interview application "
    "candidate resume position offer salary holiday vacation leave sick birthday party dinner lunch "
    "coffee family friends wedding thanks congratulations happy christmas year sale discount coupon "
    "deal limited offer free price product launch feature feedback survey customer service question "
    "answer help problem solved urgent important follow introduction question about change policy "
    "privacy terms legal notice patent trademark insurance claim health appointment doctor results "
    "vaccine pharmacy prescription property rent lease apartment repair plumber electricity water gas "
    "internet phone network printer office building parking access badge visitor lost found garden "
    "music guitar bicycle running marathon football season league score weather storm volunteer "
    "community council planning committee election vote board annual general shareholders dividend "
    "investment portfolio market analysis research paper submission accepted revision dataset model "
    "kernel patch driver memory leak regression benchmark performance database migration replication "
    "tomorrow today monday friday morning afternoon deadline extended";

static const char japanese_words[] =
    "お知らせ ご案内 会議 確認 お願い 注文 発送 配送 請求書 見積 契約 報告 日程 変更 資料 添付 問い合わせ "
    "回答 完了 受付 承認 申請 予約 キャンセル 返金 領収書 入金 振込 口座 カード ご利用 明細 月次 週次 "
    "定例 緊急 重要 検討 修正 提出 締切 延長 プロジェクト 開発 サーバー メンテナンス 障害 復旧 更新 "
    "リリース テスト エラー 不具合 コード レビュー デザイン 企画 提案書 発表 研修 セミナー 出張 休暇 "
    "採用 面接 応募 履歴書 給与 人事 総務 営業 マーケティング 広報 お客様 相談 アンケート 調査 参加 "
    "イベント 当選 クーポン 割引 セール 新商品 おすすめ 人気 購読 メールマガジン ニュース 会員 登録 "
    "パスワード 認証 セキュリティ ログイン 退会 個人情報 規約 改定 同意 サービス 終了 開始 記念 "
    "お祝い 誕生日 結婚 御礼 年末年始 夏季休業 家族 友人 同窓会 旅行 航空券 ホテル 宿泊 チケット 公演 "
    "映画 展示会 図書館 貸出 返却 学校 学生 授業 課題 試験 成績 奨学金 論文 研究 実験 結果 分析 統計 "
    "データ 保険 満期 更新手続き 融資 返済 投資 株式 配当 決算 売上 利益 予算 経費 精算 監査 法務 "
    "特許 商標 出願 審査 通知 納付 確定申告 健康診断 病院 診療 予防接種 不動産 賃貸 管理費 引越し 修理 "
    "工事 電気 ガス 水道 料金 インターネット 携帯電話 宅配便 到着 予定 遅延 交換 返品 在庫 写真 動画 "
    "ファイル フォルダ 共有 招待 出席 欠席 場所 時間 明日 本日 来週 今月 上期 下期 東京 大阪 京都 名古屋 "
    "福岡 札幌 本社 支社 工場 取引先 担当者 部長 社長 取締役会 株主総会 議事録 稟議書";

static const char chinese_words[] =
    "会议 通知 订单 确认 发货 物流 付款 发票 合同 报告 日程 变更 资料 附件 咨询 回复 完成 受理 审批 申请 "
    "预订 取消 退款 收据 到账 转账 账户 银行 信用卡 账单 明细 每月 每周 定期 紧急 重要 审核 修改 提交 "
    "截止 延期 项目 开发 服务器 维护 故障 恢复 更新 发布 测试 错误 漏洞 代码 评审 设计 方案 策划 演示 "
    "培训 讲座 研讨会 出差 休假 招聘 面试 简历 录用 工资 人事 行政 销售 市场 推广 客户 投诉 满意度 问卷 "
    "调查 参加 活动 中奖 优惠券 折扣 促销 新品 推荐 热门 订阅 新闻 会员 注册 密码 验证码 安全 登录 注销 "
    "隐私 条款 修订 同意 服务 终止 开始 周年 祝贺 生日 婚礼 感谢 春节 中秋 国庆 假期 礼物 家人 朋友 "
    "聚会 同学 旅行 机票 酒店 住宿 门票 演出 电影 展览 图书 借阅 归还 逾期 学校 学生 课程 作业 考试 成绩 "
    "学费 奖学金 论文 研究 实验 结果 分析 统计 数据 图表 保险 到期 续保 贷款 利息 还款 投资 股票 分红 "
    "公告 季度 业绩 销售额 利润 预算 费用 报销 支出 决算 审计 法律 诉讼 专利 商标 注册证 审查 意见 缴费 "
    "税务 申报 体检 医院 门诊 疫苗 处方 房产 租金 物业 搬家 维修 工程 电费 燃气 水费 宽带 手机 流量 快递 "
    "签收 预计 延误 丢失 换货 退货 缺货 补货 购物车 照片 视频 文件 共享 邀请 接受 拒绝 出席 地点 时间 "
    "明天 今天 下周 本月 上半年 下半年 北京 上海 广州 深圳 杭州 总部 分公司 工厂 合作伙伴 负责人 经理 "
    "董事会 股东大会 纪要 请示";

static const char german_words[] =
    "Rechnung Ihre Bestellung Termin für Bestätigung Vertrag Angebot Anfrage Lieferung Versand Zahlung "
    "Einladung Besprechung Protokoll Bericht Änderung Kündigung Verlängerung Mahnung Gutschrift Konto "
    "Überweisung Kontoauszug Karte Abrechnung Steuer Bescheid Antrag Formular Unterlagen Anhang Datei "
    "Ordner Freigabe Fotos Projekt Entwicklung Server Wartung Störung Behebung Aktualisierung Version "
    "Fehler Prüfung Entwurf Planung Übersicht Vorschlag Vortrag Schulung Seminar Dienstreise Urlaub "
    "Krankmeldung Bewerbung Gespräch Stelle Zusage Absage Gehalt Personal Vertrieb Kunde Beratung "
    "Beschwerde Umfrage Teilnahme Veranstaltung Gewinn Gutschein Rabatt Aktion Neuheit Empfehlung "
    "Newsletter Nachricht Mitglied Anmeldung Passwort Sicherheit Zugang Abmeldung Datenschutz "
    "Bedingungen Zustimmung Dienst Ende Beginn Jubiläum Glückwunsch Geburtstag Hochzeit Danke Weihnachten "
    "Neujahr Ostern Geschenk Familie Freunde Treffen Verein Reise Flug Hotel Unterkunft Buchung "
    "Stornierung Karten Konzert Kino Ausstellung Bücherei Ausleihe Rückgabe Schule Schüler Unterricht "
    "Aufgabe Klausur Zeugnis Studium Stipendium Abschluss Forschung Versuch Ergebnis Auswertung Zahlen "
    "Versicherung Schaden Beitrag Ablauf Kredit Zinsen Tilgung Anlage Aktien Dividende Quartal Umsatz "
    "Haushalt Kosten Spesen Ausgaben Bilanz Recht Klage Patent Marke Eintragung Gutachten Frist Gebühr "
    "Finanzamt Untersuchung Krankenhaus Arzt Impfung Rezept Apotheke Wohnung Miete Nebenkosten Umzug "
    "Reparatur Handwerker Strom Gas Wasser Telefon Netz Paket Ankunft Verspätung Verlust Umtausch "
    "Rücksendung Lager Straße Größe Maß Grüße Büro Gebäude Parkplatz Ausweis Besuch Garten Fahrrad "
    "Fußball Saison Wetter Sturm Gemeinde Ausschuss Wahl Vorstand Sitzung Tagesordnung morgen heute "
    "Montag Freitag Woche Monat dringend wichtig Frage Antwort Hilfe Erinnerung Hinweis Info Berlin "
    "München Hamburg Köln Zürich Wien Zentrale Niederlassung Werk Leitung";

static const char korean_surnames[] = "김 이 박 최 정 강 조 윤 장 임 한 오 서 신 권 황 안 송 류 홍";
static const char korean_given[] =
    "민준 서연 도윤 지우 하준 서현 은우 하은 시우 민서 지호 지유 예준 윤서 유준 채원 수호 지민 준서 다은 "
    "영희 철수 미영 정훈 상민 현주 은정 성호 경희 동현";
static const char english_surnames[] =
    "smith johnson williams brown jones miller davis wilson anderson taylor thomas moore martin lee "
    "walker hall young king wright hill";
static const char english_given[] =
    "james mary robert patricia john jennifer michael linda david elizabeth william barbara richard "
    "susan joseph jessica thomas sarah daniel karen matthew nancy anthony lisa mark emily paul emma "
    "andrew olivia";
static const char japanese_surnames[] =
    "佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 佐々木 山口 松本 井上 木村 林 斎藤 清水";
static const char japanese_given[] =
    "翔太 陽菜 蓮 結衣 大輔 美咲 健一 愛 誠 さくら 拓也 真由美 直樹 恵子 隆 由美子 浩 裕子 学 久美子";
static const char chinese_surnames[] = "王 李 张 刘 陈 杨 黄 赵 吴 周 徐 孙 马 朱 胡 郭 何 高 林 罗";
static const char chinese_given[] =
    "伟 芳 娜 秀英 敏 静 丽 强 磊 军 洋 勇 艳 杰 娟 涛 明 超 秀兰 霞 平 刚 桂英 建国 志强 晓明 海燕 文博 "
    "雨欣 子涵";
static const char german_surnames[] =
    "müller schmidt schneider fischer weber meyer wagner becker schulz hoffmann koch bauer richter "
    "klein wolf schröder neumann schwarz zimmermann groß";
static const char german_given[] =
    "peter sabine thomas petra michael andrea andreas monika stefan susanne christian claudia jürgen "
    "birgit wolfgang heike frank karin markus julia";

#endif
