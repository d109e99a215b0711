require "vacation";
vacation :days 3 :subject "휴가 중입니다" :from "김철수 <kim@example.kr>" :addresses "chulsoo@example.kr" text:
다음 주에 돌아옵니다. 🌴
.
;
