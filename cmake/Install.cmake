install(DIRECTORY schema/ DESTINATION ${CMAKE_INSTALL_DATADIR}/vmail-lda/schema
    FILES_MATCHING PATTERN "*.sql")
install(FILES postfix-master.cf.example README.md LICENSE
    DESTINATION ${CMAKE_INSTALL_DOCDIR})
