require "replace";
replace :subject "가려짐" "내용이 가려졌습니다";
